"""FSIM, which weighs a comparison of edges by how much of a feature each point is."""

import functools

import numpy as np
from scipy import fft

from diffcomp.evaluation.metrics.log_gabor import log_gabor_filters, polar_frequencies
from diffcomp.evaluation.metrics.planes import (
    gradient_magnitude,
    shrink,
    similarity,
    viewing_factor,
    yiq,
)

_SCHARR = (3 / 16, 10 / 16, 3 / 16)

# Phase congruency: Kovesi's method with the settings of FSIM's authors.
_WAVELENGTHS = (6.0, 12.0, 24.0, 48.0)  # pixels
_ORIENTATIONS = 4
_BANDWIDTH = 0.55
_ANGULAR_DEVIATION = np.pi / _ORIENTATIONS / 1.2  # radians
_CUTOFF, _ORDER = 0.45, 30  # of the Butterworth filter that rounds off the spectrum's corners
_NOISE_DEVIATIONS = 2.0  # above the mean of the noise's energy, below which all is noise
_NOISE_CORRECTION = 1.7  # by which the estimate is too large for this measure of congruency
_EPSILON = np.finfo(np.float64).eps


def fsim(image: np.ndarray, reference: np.ndarray) -> float:
    """Feature similarity with color, FSIMc, of one pair; in [0, 1], higher is better.

    The mean of S_pc S_g (S_i S_q)^0.03, weighted by the larger of the two phase congruencies. S is
    (2ab + T) / (a^2 + b^2 + T): of phase congruency with T = 0.85, of the gradient's length by
    Scharr's operator with T = 160, and of the chroma planes I and Q with T = 200. Where neither
    image has a feature anywhere, as two flat ones, all points weigh the same.

    Color: YIQ; phase congruency and gradient are of luma. Images are shrunk first by the shorter
    side over 256, rounded (see `planes.shrink`).

    Source: Zhang, Zhang, Mou and Zhang, "FSIM: a feature similarity index for image quality
    assessment", IEEE Transactions on Image Processing 20(8), 2011, equations 9 to 13, and the
    authors' code. The package piq shrinks by another grid for factors of 3 and more.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 48, the longest wavelength.
    """
    factor = viewing_factor(image)
    x, y = ([shrink(plane, factor) for plane in yiq(each)] for each in (image, reference))
    congruency_x, congruency_y = phase_congruency(x[0]), phase_congruency(y[0])
    gradient_x, gradient_y = (gradient_magnitude(each[0], _SCHARR) for each in (x, y))
    chroma = similarity(x[1], y[1], 200) * similarity(x[2], y[2], 200)
    # The product is negative where opposite colors meet; the authors keep a complex power's real
    # part there, piq the power of the absolute value. They differ by less than 0.5 percent.
    powers = np.abs(chroma) ** 0.03 * np.where(chroma < 0, np.cos(0.03 * np.pi), 1)
    score = similarity(congruency_x, congruency_y, 0.85) * powers
    score *= similarity(gradient_x, gradient_y, 160)
    weights = np.maximum(congruency_x, congruency_y)
    if not weights.any():
        weights = np.ones_like(weights)
    return float(np.sum(score * weights) / np.sum(weights))


def phase_congruency(plane: np.ndarray) -> np.ndarray:
    """How far the phases of all scales agree at each point, in [0, 1]; float64 [H, W].

    Of each direction the energy, above what noise would give, of the sum of all scales' responses,
    less their disagreement; added over the directions, over the sum of all amplitudes.

    Source: Kovesi, "Image features from phase congruency", Videre 1(3), 1999, equation 15, without
    its weight for the spread of frequencies.
    """
    filters, noise_gains = _filters(*plane.shape)
    spectrum = fft.fft2(plane)
    energy, amplitude = np.zeros_like(plane), np.zeros_like(plane)
    for bank, gain in zip(filters, noise_gains, strict=True):
        responses = fft.ifft2(spectrum * bank, workers=-1)
        amplitudes = np.abs(responses)
        amplitude += amplitudes.sum(axis=0)
        total = responses.sum(axis=0)
        direction = total / (np.abs(total) + _EPSILON)
        # Real and imaginary part: along the mean phase and across it.
        turned = responses * direction.conj()
        agreement = np.sum(turned.real - np.abs(turned.imag), axis=0)
        energy += np.maximum(agreement - gain * np.sqrt(np.median(amplitudes[0] ** 2)), 0)
    return (energy + _EPSILON) / (amplitude + _EPSILON) if amplitude.any() else amplitude


@functools.lru_cache(maxsize=2)
def _filters(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Filters [4, 4, H, W], and per direction the noise threshold for a median energy of 1.

    The median energy of the finest scale is taken as noise's, of a Rayleigh distribution, and
    scaled to the energy that the same noise causes in the sum of all scales.
    """
    radius, angle = polar_frequencies(height, width)
    filters = log_gabor_filters(
        radius, angle, _WAVELENGTHS, _ORIENTATIONS, _BANDWIDTH, _ANGULAR_DEVIATION
    )
    filters /= 1 + (radius / _CUTOFF) ** _ORDER
    # Of the real part of each impulse response, by pairs of scales: squares, and mixed products.
    pulses = fft.ifft2(filters).real * np.sqrt(height * width)
    products = np.einsum("oshw,othw->ost", pulses, pulses)
    squares = np.einsum("oss->o", products)
    mixed = (products.sum(axis=(1, 2)) - squares) / 2
    noise_power = 1 / np.log(2) / np.sum(filters[:, 0] ** 2, axis=(1, 2))
    rayleigh = np.sqrt(noise_power * (squares + 2 * mixed))
    deviations = np.sqrt(np.pi / 2) + _NOISE_DEVIATIONS * np.sqrt(2 - np.pi / 2)
    return filters, rayleigh * deviations / _NOISE_CORRECTION
