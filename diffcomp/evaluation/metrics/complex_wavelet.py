"""CW-SSIM, which compares the phases of complex wavelets and forgives small shifts."""

import numpy as np
from scipy import fft, ndimage

from diffcomp.evaluation.metrics.planes import gray_levels

_LEVEL = 4  # of the pyramid, whose level 1 is the finest: wavelengths of about 16 to 32 pixels
_ORIENTATIONS = 8
_WINDOW = 7  # pixels of the level, over which coefficients are correlated
# Energy under a window, in squared gray levels, below which it is the rounding of the transform.
_NO_ENERGY = 1e-12


def cw_ssim(image: np.ndarray, reference: np.ndarray) -> float:
    """Complex-wavelet structural similarity of one pair; in [0, 1], higher is better.

    At each position of a band, 2 |sum x y*| / sum (|x|^2 + |y|^2) over 7 x 7 complex coefficients,
    which a common change of phase, as from a shift, leaves alone; then the mean over positions,
    weighted by a Gaussian around the image's center whose standard deviation is a quarter of the
    height, and over the 8 orientations of the fourth level of a steerable pyramid. No constant
    stabilizes the quotient (K = 0); where neither image has any energy it is 1.

    Color: gray levels, which are luma rounded to whole numbers.

    Source: Sampat, Wang, Gupta, Bovik and Markey, "Complex wavelet structural similarity: a new
    image similarity index", IEEE Transactions on Image Processing 18(11), 2009, equation 5. Level,
    orientations and K are those of the package pyiqa; the authors leave the first two to the
    caller.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 64.
    """
    x, y = _bands(gray_levels(image)), _bands(gray_levels(reference))
    products = _window_means(x * y.conj())
    energies = _window_means(np.abs(x) ** 2 + np.abs(y) ** 2)
    has_energy = energies > _NO_ENERGY
    quotients = 2 * np.abs(products) / np.where(has_energy, energies, 1)
    weights = _center_weights(*x.shape[1:])
    return float(np.mean(np.sum(np.where(has_energy, quotients, 1) * weights, axis=(1, 2))))


def _bands(plane: np.ndarray) -> np.ndarray:
    """Complex [8, H / 8, W / 8]: the oriented bands of level 4 of a steerable pyramid.

    Source: Portilla and Simoncelli, "A parametric texture model based on joint statistics of
    complex wavelet coefficients", International Journal of Computer Vision 40, 2000, section 2.2.
    """
    spectrum = fft.fftshift(fft.fft2(plane))
    octave, angle = _polar_frequencies(*plane.shape)
    spectrum = spectrum * _low_pass(octave)
    for level in range(1, _LEVEL):
        # The upper half of the frequencies is empty: cutting it off halves the resolution.
        inner = tuple(slice(n // 2 - m // 2, n // 2 - m // 2 + m) for n, m in _halves(octave.shape))
        spectrum, octave, angle = spectrum[inner], octave[inner], angle[inner]
        spectrum = spectrum * _low_pass(octave + level)
    spectrum = spectrum * _high_pass(octave + _LEVEL)
    turns = np.pi / _ORIENTATIONS * np.arange(_ORIENTATIONS)
    # One half of the plane of frequencies only, which makes the coefficients complex.
    lobes = np.maximum(np.cos(angle - turns[:, None, None]), 0) ** (_ORIENTATIONS - 1)
    return fft.ifft2(fft.ifftshift(spectrum * lobes, axes=(1, 2)))


def _halves(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(n, (n + 1) // 2) for n in shape]


def _polar_frequencies(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Octaves below the highest frequency of each axis, all <= 0.5, and angles; zero centered."""
    row, column = (fft.fftshift(fft.fftfreq(n)) * 2 for n in (height, width))
    radius = np.hypot(row[:, None], column)
    # At frequency zero any finite octave will do that no band reaches.
    radius[height // 2, width // 2] = 2 / width
    return np.log2(radius), np.arctan2(row[:, None], column)


def _high_pass(octave: np.ndarray) -> np.ndarray:
    """Rises from 0 at octave -1 to 1 at octave 0, such that its square and _low_pass's add to 1."""
    return np.cos(np.pi / 2 * np.clip(octave, -1, 0))


def _low_pass(octave: np.ndarray) -> np.ndarray:
    return np.sin(-np.pi / 2 * np.clip(octave, -1, 0))


def _window_means(bands: np.ndarray) -> np.ndarray:
    """Means over 7 x 7 coefficients, wherever they lie inside the band."""
    margin = _WINDOW // 2
    means = ndimage.uniform_filter(bands, size=(1, _WINDOW, _WINDOW))
    return means[:, margin:-margin, margin:-margin]


def _center_weights(height: int, width: int) -> np.ndarray:
    rows, columns = (np.arange(n - _WINDOW + 1) - (n - _WINDOW) / 2 for n in (height, width))
    weights = np.exp(-(rows[:, None] ** 2 + columns**2) / (2 * (height / 4) ** 2))
    return weights / weights.sum()
