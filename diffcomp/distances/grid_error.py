"""Error that repeats from cell to cell of y: the faint tiles that a codec paints into flat areas.

LPIPS rewards a little texture where a photograph has grain. A decoder without noise can only make
it from the position within a cell of 16 x 16 pixels, alike in neighbouring cells, and in a flat sky
that shows. Errors that do not follow the grid are as often alike in two neighbours as they are
opposite.
"""

import jax.numpy as jnp
from jax import Array

from diffcomp.coding.grid import Y_STRIDE

FLAT_VARIANCE = 16.0  # squared grey levels: at this variance of x a cell counts half


def grid_error(x: Array, x_hat: Array) -> Array:
    """Covariance of x_hat - x between neighbouring cells, each less its mean; 0 if it is negative.

    x, x_hat [B, H, W, 3] in [-1, 1], H and W multiples of 16. A cell counts by
    1 / (1 + variance of x / FLAT_VARIANCE). Returns [B], on the scale 0..255 squared: about the
    square of the tiles' deviation. One pair without error is added, so that an image without flat
    areas has little.
    """
    cells, error = _cells(127.5 * x), _cells(127.5 * (x_hat - x))
    variance = jnp.mean(jnp.var(cells, axis=(2, 4), keepdims=True), axis=-1, keepdims=True)
    weights = 1 / (1 + variance / FLAT_VARIANCE)  # [B, H/16, 1, W/16, 1, 1]
    error = weights * (error - jnp.mean(error, axis=(2, 4), keepdims=True))
    alike = _neighbours(error) / error[0, 0, :, 0].size
    return jnp.maximum(alike, 0.0) / (1 + _neighbours(weights))


def _cells(x: Array) -> Array:
    """[B, H, W, C] -> [B, H/16, 16, W/16, 16, C]."""
    b, h, w, c = x.shape
    return x.reshape(b, h // Y_STRIDE, Y_STRIDE, w // Y_STRIDE, Y_STRIDE, c)


def _neighbours(cells: Array) -> Array:
    """Sum of products over all pairs of cells side by side: [B, h, :, w, :, :] -> [B]."""
    beside = jnp.sum(cells[:, :, :, 1:] * cells[:, :, :, :-1], axis=(1, 2, 3, 4, 5))
    return beside + jnp.sum(cells[:, 1:] * cells[:, :-1], axis=(1, 2, 3, 4, 5))
