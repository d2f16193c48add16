"""Where a file will state the colour itself, so that training need not ask for it.

The rule is that of `coding.flat_areas`, by which files are written; here as operations of JAX.
"""

import jax.numpy as jnp
from jax import Array, lax

from diffcomp.coding.flat_areas import CELL, WINDOW


def flat_mask(x: Array) -> Array:
    """Images [B, H, W, 3], of whole cells -> bool [B, H, W, 1], true in areas of one colour."""
    batch, height, width, channels = x.shape
    cells = x.reshape(batch, height // CELL, CELL, width // CELL, CELL, channels)
    window, strides = (1, WINDOW, WINDOW, 1), (1, 1, 1, 1)
    highest = lax.reduce_window(cells.max((2, 4)), -jnp.inf, lax.max, window, strides, "VALID")
    lowest = lax.reduce_window(cells.min((2, 4)), jnp.inf, lax.min, window, strides, "VALID")
    whole = jnp.all(highest == lowest, axis=-1, keepdims=True)
    border = ((0, 0), (WINDOW - 1,) * 2, (WINDOW - 1,) * 2, (0, 0))
    whole = jnp.pad(whole, border)
    flat = lax.reduce_window(whole, False, lax.bitwise_or, window, strides, "VALID")
    return flat.repeat(CELL, axis=1).repeat(CELL, axis=2)
