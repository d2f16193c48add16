"""MS-SSIM as a loss: contrast and structure compared, whatever their strength.

A squared error asks for strong edges first. The eye sees a faint pattern on a smooth ground as
well as a strong one in the midst of detail, and so do structural measures. The metric that
evaluations report is `diffcomp.evaluation.metrics.structural.ms_ssim`.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

_WINDOW = 11  # pixels a side
_DEVIATION = 1.5
_MEANS = (0.01 * 255) ** 2
_VARIANCES = (0.03 * 255) ** 2
_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# A term is at least this: a power's slope is infinite at 0.
_LEAST = 1e-3


def structure_error(x: Array, x_hat: Array) -> Array:
    """1 - MS-SSIM: float32 [B, H, W, 3] twice, in [-1, 1] -> [B], 0 if they are alike.

    Where a side is below 176 pixels, too short for all five scales, the coarsest are left out and
    the exponents of the others scaled to the same sum. H and W are multiples of 16, at least 16.

    Source: Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality
    assessment", Asilomar Conference on Signals, Systems and Computers 2003, equation 7.
    """
    x, x_hat = 127.5 * (x + 1), 127.5 * (x_hat + 1)
    exponents = np.array(_EXPONENTS[: _scales(min(x.shape[1:3]))])
    exponents *= sum(_EXPONENTS) / exponents.sum()
    similarity = jnp.ones((x.shape[0], x.shape[3]), x.dtype)
    for scale, exponent in enumerate(exponents):
        if scale > 0:
            x, x_hat = _halved(x), _halved(x_hat)
        luminance, contrast = _compare(x, x_hat)
        last = scale == len(exponents) - 1
        term = jnp.mean(luminance * contrast if last else contrast, axis=(1, 2))
        similarity *= jnp.maximum(term, _LEAST) ** exponent
    return 1 - jnp.mean(similarity, axis=-1)


def _scales(side: int) -> int:
    """How many, each half the one before, have room for the window."""
    return max(k + 1 for k in range(len(_EXPONENTS)) if side >> k >= _WINDOW)


def _compare(x: Array, x_hat: Array) -> tuple[Array, Array]:
    """Similarity of the means, and of contrast and structure, at each position of the window."""
    channels = x.shape[-1]
    maps = jnp.concatenate([x, x_hat, x * x + x_hat * x_hat, x * x_hat], axis=-1)
    m, n, squares, products = jnp.split(_blurred(maps), [channels * k for k in (1, 2, 3)], axis=-1)
    contrast = 2 * (products - m * n) + _VARIANCES
    contrast /= squares - m * m - n * n + _VARIANCES
    return (2 * m * n + _MEANS) / (m * m + n * n + _MEANS), contrast


def _blurred(x: Array) -> Array:
    """Means under the Gaussian window, where it lies inside: [B, H, W, C] -> [B, H-10, W-10, C].

    As two products with a band of weights: a convolution by channels, and its gradient above all,
    is many times slower on CPUs.
    """
    x = jnp.einsum("ih,bhwc->biwc", _band(x.shape[1]), x, precision="highest")
    return jnp.einsum("jw,biwc->bijc", _band(x.shape[2]), x, precision="highest")


def _band(side: int) -> np.ndarray:
    """[side - 10, side]: row i has the window's weights from column i on."""
    weights = np.exp(-0.5 * ((np.arange(_WINDOW) - _WINDOW // 2) / _DEVIATION) ** 2)
    band = np.zeros((side - _WINDOW + 1, side), np.float32)
    for i in range(len(band)):
        band[i, i : i + _WINDOW] = weights / weights.sum()
    return band


def _halved(x: Array) -> Array:
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))
