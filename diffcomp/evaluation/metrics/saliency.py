"""VSI, which weighs a comparison of edges and colors by how much each point draws the eye."""

import functools

import numpy as np
from scipy import fft

from diffcomp.evaluation.metrics.log_gabor import polar_frequencies
from diffcomp.evaluation.metrics.planes import (
    gradient_magnitude,
    shrink,
    similarity,
    viewing_factor,
)

_SCHARR = (3 / 16, 10 / 16, 3 / 16)
# Red, green and blue in the planes L, M and N of the authors' opponent colors.
_LMN = np.array([[0.06, 0.63, 0.27], [0.30, 0.04, -0.35], [0.34, -0.6, 0.17]])

# Saliency: the settings of VSI's authors, which are not those of the paper on saliency.
_SIDE = 256  # pixels; saliency is computed at this height and width
_CENTER_FREQUENCY, _BANDWIDTH = 0.021, 1.34  # cycles per pixel; deviation of its logarithm
_CENTER_BIAS = 145.0  # pixels
_COLOR_BIAS = 0.001

_SRGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = np.array([0.9642, 1.0, 0.8251])  # D50
_XYZ_TO_LAB = np.array([[0, 116, 0], [500, -500, 0], [0, 200, -200]])
_EPSILON = np.finfo(np.float64).eps


def vsi(image: np.ndarray, reference: np.ndarray) -> float:
    """Visual saliency-induced index of one pair; in [0, 1], higher is better.

    The mean of S_v S_g^0.4 (S_m S_n)^0.02, weighted by the larger of the two saliencies. S is
    (2ab + C) / (a^2 + b^2 + C): of saliency with C = 1.27, of the gradient's length by Scharr's
    operator with C = 386, and of the chroma planes M and N with C = 130. Where nothing is salient
    in either image, as in two of one color, all points weigh the same.

    Color: all three channels, as the planes L (for the gradient), M and N, and as CIELAB for the
    saliency. Planes are shrunk first by the shorter side over 256, rounded (`planes.shrink`).

    Source: Zhang, Shen and Li, "VSI: a visual saliency-induced index for perceptual image quality
    assessment", IEEE Transactions on Image Processing 23(10), 2014, equations 3 to 8, and MATLAB's
    resizing, which the authors' code uses. The package piq resizes without smoothing, and to other
    positions, and shrinks from a grid one pixel off.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 16.
    """
    factor = viewing_factor(image)
    saliency_x, saliency_y = (shrink(saliency(each), factor) for each in (image, reference))
    x, y = (_lmn(each, factor) for each in (image, reference))
    gradient_x, gradient_y = (gradient_magnitude(each[0], _SCHARR) for each in (x, y))
    chroma = similarity(x[1], y[1], 130) * similarity(x[2], y[2], 130)
    # The real part of a complex power, where opposite colors make the product negative.
    powers = np.abs(chroma) ** 0.02 * np.where(chroma < 0, np.cos(0.02 * np.pi), 1)
    score = similarity(saliency_x, saliency_y, 1.27) * powers
    score *= similarity(gradient_x, gradient_y, 386) ** 0.4
    weights = np.maximum(saliency_x, saliency_y)
    if not weights.any():
        weights = np.ones_like(weights)
    return float(np.sum(score * weights) / np.sum(weights))


def _lmn(image: np.ndarray, factor: int) -> list[np.ndarray]:
    planes = image.astype(np.float64) @ _LMN.T
    return [shrink(planes[..., i], factor) for i in range(3)]


def saliency(image: np.ndarray) -> np.ndarray:
    """How much each point draws the eye, scaled to [0, 1]; float64 [H, W] of uint8 [H, W, 3].

    The product of three priors: energy in a band of frequencies, distance from the center, and
    distance in chroma from the greenest and bluest of the image.

    Source: Zhang, Gu and Li, "SDSP: a novel saliency detection method by combining simple priors",
    IEEE International Conference on Image Processing 2013, equations 2 to 7.
    """
    small = np.stack([resize(image[..., i], _SIDE, _SIDE) for i in range(3)], axis=-1)
    lab = _lab(small)
    band, center = _priors()
    filtered = fft.ifft2(fft.fft2(lab, axes=(0, 1)) * band[..., None], axes=(0, 1)).real
    frequency = np.sqrt(np.sum(filtered**2, axis=-1))
    chroma = lab[..., 1:]
    low, high = chroma.min(axis=(0, 1)), chroma.max(axis=(0, 1))
    warmth = np.sum(((chroma - low) / (high - low + _EPSILON)) ** 2, axis=-1)
    product = frequency * center * (1 - np.exp(-warmth / _COLOR_BIAS**2))
    enlarged = resize(product, *image.shape[:2])
    return (enlarged - enlarged.min()) / (np.ptp(enlarged) + _EPSILON)


def resize(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear resizing; a side that shrinks is smoothed by a triangle as wide as its step.

    Pixel centers are at halves, as in MATLAB's `imresize`; beyond the border its pixels repeat.
    """
    rows, columns = _weights(plane.shape[0], height), _weights(plane.shape[1], width)
    return rows @ plane.astype(np.float64) @ columns.T


@functools.lru_cache(maxsize=16)
def _weights(size: int, new_size: int) -> np.ndarray:
    """float64 [new_size, size]: the weight of each old pixel in each new one; rows add to 1."""
    step = size / new_size
    centers = (np.arange(new_size) + 0.5) * step - 0.5
    # Far enough beyond the border for the triangle; those positions fall to the border's pixel.
    reach = int(np.ceil(max(step, 1))) + 1
    positions = np.arange(-reach, size + reach)
    triangle = np.maximum(1 - np.abs(positions - centers[:, None]) / max(step, 1), 0)
    weights = triangle[:, reach : size + reach].copy()
    weights[:, 0] += triangle[:, :reach].sum(axis=1)
    weights[:, -1] += triangle[:, size + reach :].sum(axis=1)
    return weights / weights.sum(axis=1, keepdims=True)


def _lab(image: np.ndarray) -> np.ndarray:
    """CIELAB, with white D50 as the authors', of sRGB float64 [..., 3] from 0 to 255."""
    value = image / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _SRGB_TO_XYZ.T / _WHITE
    bent = np.where(xyz > 0.008856, np.cbrt(xyz), (903.3 * xyz + 16) / 116)
    return bent @ _XYZ_TO_LAB.T - np.array([16, 0, 0])


@functools.cache
def _priors() -> tuple[np.ndarray, np.ndarray]:
    """Transfer function of the band, zero in the corner, and weight by the distance to the center.

    The center is the pixel 127 of 256 both ways, counted from 0, as in the authors' code.
    """
    radius, _ = polar_frequencies(_SIDE, _SIDE)
    inside = (radius > 0) & (radius <= 0.5)
    octaves = np.log(np.where(inside, radius, 1) / _CENTER_FREQUENCY)
    band = np.where(inside, np.exp(-(octaves**2) / (2 * _BANDWIDTH**2)), 0)
    away = np.arange(_SIDE) - (_SIDE // 2 - 1)
    return band, np.exp(-(away[:, None] ** 2 + away**2) / _CENTER_BIAS**2)
