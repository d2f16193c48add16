"""Error of a picture's colours over areas: what perceptual distances leave to chance.

LPIPS and DISTS compare features of fine detail, and hardly see a sky that is two levels too green
in patches. A least squared error of the pixels does not help: the mean of an area is one component
among hundreds, and weighs no more than any other.
"""

import jax.numpy as jnp
from jax import Array

CELLS = (8, 32)  # sides of the areas, pixels


def box_error(x: Array, x_hat: Array, scales: tuple[float, float]) -> Array:
    """Squared error of the mean colours of all cells of 8x8 and of 32x32 pixels, weighted.

    x, x_hat [B, H, W, 3] in [-1, 1], H and W multiples of 32; `scales` has a factor for each size
    of cell. Returns [B], on the scale 0..255 squared, averaged over cells and channels.
    """
    error = 127.5 * (x_hat - x)
    total = jnp.zeros(x.shape[0], x.dtype)
    for side, scale in zip(CELLS, scales, strict=True):
        total += scale * jnp.mean(jnp.square(cell_means(error, side)), axis=(1, 2, 3))
    return total


def cell_means(x: Array, side: int) -> Array:
    """Of each cell: [B, H, W, C] -> [B, H/side, W/side, C]."""
    b, h, w, c = x.shape
    return x.reshape(b, h // side, side, w // side, side, c).mean(axis=(2, 4))
