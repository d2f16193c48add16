"""Log-Gabor filters, bands of one scale and direction, which several metrics are built on.

Source: Field, "Relations between the statistics of natural images and the response properties of
cortical cells", Journal of the Optical Society of America A 4(12), 1987.
"""

import numpy as np
from scipy import fft


def log_gabor_filters(
    radius: np.ndarray,
    angle: np.ndarray,
    wavelengths: tuple[float, ...],
    orientations: int,
    bandwidth: float,
    angular_deviation: float,
) -> np.ndarray:
    """Transfer functions, float64 [orientations, scales, H, W], frequency zero in the corner.

    Each is a Gaussian of the logarithm of the frequency times one of the angle, and covers one
    half of the plane of frequencies: of a real image it leaves a complex one whose parts are the
    even and the odd response.

    Args:
      radius: [H, W], frequency in cycles per pixel, as from `polar_frequencies`.
      angle: [H, W], direction in radians.
      wavelengths: of each scale, in pixels.
      orientations: number of directions in half a turn, from 0.
      bandwidth: standard deviation of the frequency over the center frequency, in (0, 1).
      angular_deviation: standard deviation of the angle in radians.
    """
    positive = np.where(radius == 0, 1, radius)
    scales = [np.log(positive * wavelength) ** 2 for wavelength in wavelengths]
    radial = np.exp(-np.stack(scales) / (2 * np.log(bandwidth) ** 2))
    radial[:, radius == 0] = 0
    turns = np.pi / orientations * np.arange(orientations)[:, None, None]
    # The shorter way round, in [0, pi].
    away = np.abs(np.angle(np.exp(1j * (angle - turns))))
    angular = np.exp(-(away**2) / (2 * angular_deviation**2))
    return angular[:, None] * radial[None]


def polar_frequencies(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequency in cycles per pixel and direction, float64 [H, W] both, zero in the corner."""
    row, column = fft.fftfreq(height)[:, None], fft.fftfreq(width)
    return np.hypot(row, column), np.arctan2(-row, column)
