"""SSIM and MS-SSIM, as TensorFlow defines them, which the literature on compression uses.

`tf.image.ssim` and `tf.image.ssim_multiscale` compute the same in float32; here it is float64.
"""

import math

import numpy as np

from diffcomp.distances.structure_error import EXPONENTS, MEANS, VARIANCES, WINDOW
from diffcomp.evaluation.metrics.planes import filter_inside, similarity


def ssim(image: np.ndarray, reference: np.ndarray) -> float:
    """Structural similarity: local means, contrasts and correlation compared; higher is better.

    The mean over positions of ((2 m n + c1) (2 s_xy + c2)) / ((m^2 + n^2 + c1) (s_x + s_y + c2)),
    of means m and n, variances and covariance under a Gaussian window of 11 x 11 pixels with a
    standard deviation of 1.5, only where it lies inside the image; c1 = (0.01 * 255)^2 and
    c2 = (0.03 * 255)^2. At full resolution, without the shrinking that the authors suggest for
    large images. Each of R, G and B is judged alone and the three results are averaged; luma alone
    would give another number.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", IEEE Transactions on Image Processing 13(4), 2004, equation 13.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 11.

    Returns:
      A number in [-1, 1]; 1 for identical images.
    """
    return float(np.mean([_compare(x, y)[0] for x, y in _channels(image, reference)]))


def ms_ssim(image: np.ndarray, reference: np.ndarray) -> float:
    """Multi-scale structural similarity: SSIM's terms at five resolutions; higher is better.

    Contrast and structure of five scales, each half the one before by means over 2 x 2 pixels, and
    the luminance of the last are multiplied with the exponents 0.0448, 0.2856, 0.3001, 0.2363 and
    0.1333; a negative term counts as 0. An odd side's last row is doubled before the halving. Each
    of R, G and B is judged alone, as in `ssim`, and the three results are averaged.

    Source: Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality
    assessment", Asilomar Conference on Signals, Systems and Computers 2003, equation 7.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 161, 16 times 10 and one more: the
        window of 11 pixels must fit the last scale.

    Returns:
      A number in [0, 1]; 1 for identical images.
    """
    return float(np.mean([_multiscale(x, y) for x, y in _channels(image, reference)]))


def _channels(image: np.ndarray, reference: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of planes, of R, of G and of B."""
    return [
        (np.float64(image[..., channel]), np.float64(reference[..., channel]))
        for channel in range(3)
    ]


def _multiscale(x: np.ndarray, y: np.ndarray) -> float:
    terms = []
    for scale in range(len(EXPONENTS)):
        if scale > 0:
            x, y = _halved(x), _halved(y)
        whole, contrast = _compare(x, y)
        terms.append(whole if scale == len(EXPONENTS) - 1 else contrast)
    return math.prod(max(t, 0.0) ** exponent for t, exponent in zip(terms, EXPONENTS, strict=True))


def _compare(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """SSIM of two planes, and its factor of contrast and structure alone; means over positions."""
    mean_x, mean_y = filter_inside(x, WINDOW), filter_inside(y, WINDOW)
    covariance = filter_inside(x * y, WINDOW) - mean_x * mean_y
    variances = filter_inside(x * x + y * y, WINDOW) - mean_x**2 - mean_y**2
    contrast = (2 * covariance + VARIANCES) / (variances + VARIANCES)
    luminance = similarity(mean_x, mean_y, MEANS)
    return float(np.mean(luminance * contrast)), float(np.mean(contrast))


def _halved(plane: np.ndarray) -> np.ndarray:
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    return even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).mean(axis=(1, 3))
