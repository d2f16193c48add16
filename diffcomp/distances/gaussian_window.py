"""The weights of a Gaussian window, for losses and metrics alike. Needs no JAX."""

import numpy as np


def gaussian_window(size: int, deviation: float) -> np.ndarray:
    """Weights of a Gaussian around the middle of `size` pixels, float64 [size], adding up to 1."""
    away = np.arange(size) - size // 2
    weights = np.exp(-(away**2) / (2 * deviation**2))
    return weights / weights.sum()
