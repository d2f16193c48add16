"""Noise that is a function of key and position, whatever part of a picture is computed."""

import jax
import jax.numpy as jnp
from jax import Array

BLOCK = 16  # side of the squares that have a key each, pixels


def positional_noise(key: Array, origin: Array, height: int, width: int) -> Array:
    """Standard normal noise of a picture's pixels from `origin` on, float32 [height, width, 3].

    origin: row and column, int32 [2]; like height and width multiples of BLOCK. The noise of a
    pixel depends on the key and the pixel's row and column alone.
    """
    rows = origin[0] // BLOCK + jnp.arange(height // BLOCK)
    columns = origin[1] // BLOCK + jnp.arange(width // BLOCK)

    def block(row: Array, column: Array) -> Array:
        own = jax.random.fold_in(jax.random.fold_in(key, row), column)
        return jax.random.normal(own, (BLOCK, BLOCK, 3))

    blocks = jax.vmap(jax.vmap(block, (None, 0)), (0, None))(rows, columns)
    return blocks.transpose(0, 2, 1, 3, 4).reshape(height, width, 3)


def starting_noise(seed: Array, origin: Array, height: int, width: int) -> Array:
    """Where sampling starts from, [1, height, width, 3]; seed uint32 []."""
    key, _ = jax.random.split(jax.random.key(seed))
    return positional_noise(key, origin, height, width)[None]


def fresh_noise(seed: Array, i: Array, origin: Array, height: int, width: int) -> Array:
    """That of step i [] of sampling, [1, height, width, 3]."""
    _, key = jax.random.split(jax.random.key(seed))
    return positional_noise(jax.random.fold_in(key, i), origin, height, width)[None]
