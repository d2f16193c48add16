"""GMSD and HaarPSI, which compare the strengths of local edges and need little time."""

import numpy as np
from scipy import ndimage, special

from diffcomp.evaluation.metrics.planes import gradient_magnitude, luma, shrink, similarity, yiq

_PREWITT = (1 / 3, 1 / 3, 1 / 3)
_GMSD_CONSTANT = 170.0

_HAAR_CONSTANT = 30.0
_HAAR_STEEPNESS = 4.2  # of the logistic function through which similarities are averaged
_EPSILON = np.finfo(np.float64).eps


def gmsd(image: np.ndarray, reference: np.ndarray) -> float:
    """Gradient magnitude similarity deviation of one pair; 0 or more, lower is better.

    The standard deviation over the image of (2ab + 170) / (a^2 + b^2 + 170), of the lengths a and
    b of the gradients by Prewitt's operator, at half the resolution. It measures how unevenly an
    image is degraded: an equal loss everywhere would count as none.

    Color: luma. A side of odd length is completed by a row or column of zeros before halving.

    Source: Xue, Zhang, Mou and Bovik, "Gradient magnitude similarity deviation: a highly efficient
    perceptual image quality index", IEEE Transactions on Image Processing 23(2), 2014, equations
    4 to 6.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 6.
    """
    halves = (shrink(luma(each), 2) for each in (image, reference))
    gradients = [gradient_magnitude(each, _PREWITT) for each in halves]
    return float(np.std(similarity(*gradients, _GMSD_CONSTANT), ddof=1))


def haarpsi(image: np.ndarray, reference: np.ndarray) -> float:
    """Haar wavelet-based perceptual similarity of one pair; in [0, 1], higher is better.

    Horizontal and vertical Haar coefficients of the two finest scales are compared by
    (2ab + 30) / (a^2 + b^2 + 30); the mean of both, through a logistic function of steepness 4.2,
    is averaged with the larger third-scale coefficient of the two images as weight, and mapped
    back and squared. The planes I and Q count as a third direction. All at half the resolution.

    Color: YIQ; the coefficients are of luma.

    Source: Reisenhofer, Bosse, Kutyniok and Wiegand, "A Haar wavelet-based perceptual similarity
    index for image quality assessment", Signal Processing: Image Communication 61, 2018, equations
    10 to 12.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 16.
    """
    x, y = ([shrink(plane, 2) for plane in yiq(each)] for each in (image, reference))
    similarities, weights = [], []
    for axis in (0, 1):
        coefficients = [[_haar(each[0], scale, axis) for scale in (1, 2, 3)] for each in (x, y)]
        fine = [similarity(*(c[i] for c in coefficients), _HAAR_CONSTANT) for i in (0, 1)]
        similarities.append(np.mean(fine, axis=0))
        weights.append(np.maximum(coefficients[0][2], coefficients[1][2]))
    chroma = [similarity(_local(x[i]), _local(y[i]), _HAAR_CONSTANT) for i in (1, 2)]
    similarities.append(np.mean(chroma, axis=0))
    weights.append(np.mean(weights, axis=0))
    logistic = special.expit(_HAAR_STEEPNESS * np.stack(similarities))
    # Without any contrast in either image all points weigh the same.
    weighted = np.stack(weights) if np.any(weights) else np.ones_like(logistic)
    score = np.sum(logistic * weighted) / np.sum(weighted)
    return float((special.logit(score) / _HAAR_STEEPNESS) ** 2)


def _haar(plane: np.ndarray, scale: int, axis: int) -> np.ndarray:
    """Absolute Haar coefficients along `axis`: mean of one half of a square less the other's."""
    size = 2**scale
    step = np.repeat([-1.0, 1.0], size // 2)
    means = ndimage.correlate1d(
        plane, np.full(size, 1 / size), 1 - axis, mode="constant", origin=-1
    )
    return np.abs(ndimage.correlate1d(means, step, axis, mode="constant", origin=-1))


def _local(plane: np.ndarray) -> np.ndarray:
    """Absolute means over 2 x 2 pixels, of which each pixel is the upper left."""
    return np.abs(ndimage.uniform_filter(plane, size=2, mode="constant", origin=-1))
