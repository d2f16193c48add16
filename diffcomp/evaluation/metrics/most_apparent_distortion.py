"""MAD, which looks for errors in a good image and for the subject in a bad one."""

import functools
import math

import numpy as np
from scipy import fft, ndimage

from diffcomp.evaluation.metrics.block_statistics import (
    BLOCK,
    block_deviation,
    block_mean,
    block_statistics,
    quarter_deviation,
    spread_blocks,
)
from diffcomp.evaluation.metrics.log_gabor import log_gabor_filters, polar_frequencies
from diffcomp.evaluation.metrics.planes import gray_levels

_EDGE = 16  # pixels left out at each border

_CYCLES_PER_DEGREE = 32.0  # at the highest frequency of a row
_LUMINANCE = 0.02874  # of 8-bit values, before the exponent 2.2 / 3
_DARK = 0.5  # mean luminance below which no error is visible
_THRESHOLD = -5.0  # logarithm of the contrast below which an error is invisible

_WAVELENGTHS = (3.0, 9.0, 27.0, 81.0, 243.0)  # pixels
_SCALE_WEIGHTS = np.array([0.5, 0.75, 1.0, 5.0, 6.0]) / 13.25
_ORIENTATIONS = 4
_BANDWIDTH = 0.55
_ANGULAR_DEVIATION = np.pi / _ORIENTATIONS / 1.5  # radians

_BLEND_SCALE, _BLEND_POWER = 0.467, 0.130


def mad(image: np.ndarray, reference: np.ndarray) -> float:
    """Most apparent distortion of one pair; 0 or more, lower is better.

    Of a good image the eye looks for errors, of a bad one for the subject. `detection` measures
    the first, `appearance` the second, and MAD is d^a p^(1-a) with a = 1 / (1 + 0.467 d^0.13).

    Color: gray levels, which are luma rounded to whole numbers.

    Source: Larson and Chandler, "Most apparent distortion: full-reference image quality assessment
    and the role of strategy", Journal of Electronic Imaging 19(1), 011006, 2010, equations 6 to
    15, and the authors' code. The package pyiqa weighs directions where the paper weighs scales,
    and takes another deviation for the masking; the package viqa follows the authors.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 48.
    """
    x, y = gray_levels(image), gray_levels(reference)
    detected, appearance = detection(x, y), appearance_change(x, y)
    share = 1 / (1 + _BLEND_SCALE * detected**_BLEND_POWER)
    return detected**share * appearance ** (1 - share)


def detection(image: np.ndarray, reference: np.ndarray) -> float:
    """How visible the errors of gray levels [H, W] are: the root mean square, over positions, of
    the local mean squared error times the logarithm of its contrast above the visible, times 200.

    Visible is what exceeds both a fixed contrast and the contrast of the reference at that place,
    after the luminance's nonlinearity and a filter by the sensitivity of the eye.
    """
    sensitivity = _contrast_sensitivity(*reference.shape)
    seen_image, seen = (
        fft.ifft2(fft.fft2(_LUMINANCE * each ** (2.2 / 3)) * sensitivity).real
        for each in (image, reference)
    )
    mean, error = block_mean(seen), block_deviation(seen_image - seen)
    bright = mean > _DARK
    mean = np.where(bright, mean, 1)
    with np.errstate(divide="ignore"):  # flat blocks: no contrast, minus infinity
        masking = np.log(quarter_deviation(seen) / mean)
        contrast = np.where(bright, np.log(error / mean), -np.inf)
    visible = np.maximum(contrast - np.maximum(masking, _THRESHOLD), 0)
    # A mean over 16 x 16 pixels, from 7 before to 8 after; beyond the border the image is mirrored.
    squared = ndimage.uniform_filter((image - reference) ** 2, BLOCK, mode="reflect", origin=-1)
    return 200 * _root_mean_square(spread_blocks(visible, squared.shape) * squared)


def appearance_change(image: np.ndarray, reference: np.ndarray) -> float:
    """How far local statistics differ in gray levels [H, W]: of the magnitudes of log-Gabor
    responses, the change of deviation, twice that of skewness and that of kurtosis, per block of
    16 x 16; added over 4 directions and, with weights that favor the coarse, 5 scales; the root
    mean square over positions.
    """
    expected = _remembered_statistics(reference.tobytes(), reference.shape)
    change = np.zeros_like(expected[0, 0, 0])
    for found, wanted in zip(_statistics(image), expected, strict=True):
        deviation, skewness, kurtosis = np.moveaxis(np.abs(found - wanted), 1, 0)
        change += np.tensordot(_SCALE_WEIGHTS, deviation + 2 * skewness + kurtosis, 1)
    return _root_mean_square(spread_blocks(change, reference.shape))


# A reference is compared with several images in a row.
@functools.lru_cache(maxsize=1)
def _remembered_statistics(pixels: bytes, shape: tuple[int, int]) -> np.ndarray:
    return _statistics(np.frombuffer(pixels, np.float64).reshape(shape))


def _statistics(plane: np.ndarray) -> np.ndarray:
    """Deviation, skewness and kurtosis by block: [4 directions, 5 scales, 3, rows, columns]."""
    spectrum = fft.fft2(plane)
    return np.array(
        [
            [block_statistics(np.abs(fft.ifft2(spectrum * band, workers=-1))) for band in bank]
            for bank in _filters(*plane.shape)
        ]
    )


def _root_mean_square(values: np.ndarray) -> float:
    inner = values[_EDGE:-_EDGE, _EDGE:-_EDGE]
    return math.sqrt(np.mean(inner**2))


def _contrast_sensitivity(height: int, width: int) -> np.ndarray:
    """Sensitivity of the eye by frequency, zero in the corner; a low-pass filter.

    Frequencies are half a step off and both scale with the width, as in the authors' code.
    """
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in (height, width))
    scale = 2 * _CYCLES_PER_DEGREE / width
    radius = scale * np.hypot(rows[:, None], columns)
    # The eye sees less along the diagonals.
    radius /= 0.15 * np.cos(4 * np.arctan2(rows[:, None], columns)) + 0.85
    falling = 2.6 * (0.0192 + 0.114 * radius) * np.exp(-((0.114 * radius) ** 1.1))
    return fft.ifftshift(np.where(radius < 7.8909, 0.9809, falling))


@functools.lru_cache(maxsize=2)
def _filters(height: int, width: int) -> np.ndarray:
    return log_gabor_filters(
        *polar_frequencies(height, width),
        _WAVELENGTHS,
        _ORIENTATIONS,
        _BANDWIDTH,
        _ANGULAR_DEVIATION,
    )
