"""MS-SSIM as a loss: contrast and structure compared, whatever their strength.

A squared error asks for strong edges first. The eye sees a faint pattern on a smooth ground as
well as a strong one in the midst of detail, and so do structural measures. The metric that
evaluations report is `diffcomp.evaluation.metrics.structural.ms_ssim`.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffcomp.distances.box_error import cell_means
from diffcomp.distances.gaussian_window import gaussian_window

# Also of the metric: weights across the window of 11 pixels, what steadies the comparison of means
# where both are dark, and that of variances where both are flat, and what the contrasts of each
# scale weigh, the finest first; the last one's with its luminance.
WINDOW = gaussian_window(11, deviation=1.5)
MEANS = (0.01 * 255) ** 2
VARIANCES = (0.03 * 255) ** 2
EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
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
    exponents = np.array(EXPONENTS[: _scales(min(x.shape[1:3]))])
    exponents *= sum(EXPONENTS) / exponents.sum()
    similarity = jnp.ones((x.shape[0], x.shape[3]), x.dtype)
    for scale, exponent in enumerate(exponents):
        if scale > 0:
            x, x_hat = cell_means(x, 2), cell_means(x_hat, 2)
        luminance, contrast = _compare(x, x_hat)
        last = scale == len(exponents) - 1
        term = jnp.mean(luminance * contrast if last else contrast, axis=(1, 2))
        similarity *= jnp.maximum(term, _LEAST) ** exponent
    return 1 - jnp.mean(similarity, axis=-1)


def _scales(side: int) -> int:
    """How many, each half the one before, have room for the window."""
    return max(k + 1 for k in range(len(EXPONENTS)) if side >> k >= len(WINDOW))


def _compare(x: Array, x_hat: Array) -> tuple[Array, Array]:
    """Similarity of the means, and of contrast and structure, at each position of the window."""
    channels = x.shape[-1]
    maps = jnp.concatenate([x, x_hat, x * x + x_hat * x_hat, x * x_hat], axis=-1)
    m, n, squares, products = jnp.split(_blurred(maps), [channels * k for k in (1, 2, 3)], axis=-1)
    contrast = 2 * (products - m * n) + VARIANCES
    contrast /= squares - m * m - n * n + VARIANCES
    return (2 * m * n + MEANS) / (m * m + n * n + MEANS), contrast


def _blurred(x: Array) -> Array:
    """Means under the Gaussian window, where it lies inside: [B, H, W, C] -> [B, H-10, W-10, C].

    As two products with a band of weights: a convolution by channels, and its gradient above all,
    is many times slower on CPUs.
    """
    x = jnp.einsum("ih,bhwc->biwc", _band(x.shape[1]), x, precision="highest")
    return jnp.einsum("jw,biwc->bijc", _band(x.shape[2]), x, precision="highest")


def _band(side: int) -> np.ndarray:
    """[side - 10, side]: row i has the window's weights from column i on."""
    size = len(WINDOW)
    band = np.zeros((side - size + 1, side), np.float32)
    for i in range(len(band)):
        band[i, i : i + size] = WINDOW
    return band
