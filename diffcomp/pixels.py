"""The two representations of an image: uint8 at the edges, floats in [-1, 1] in the networks."""

import jax.numpy as jnp
from jax import Array


def to_float(image: Array) -> Array:
    """uint8, or floats from 0 to 255 (any shape) -> float32 in [-1, 1]."""
    return jnp.asarray(image, jnp.float32) / 127.5 - 1


def to_uint8(x: Array) -> Array:
    """Float, nominally in [-1, 1] -> uint8, rounded, values outside cut off."""
    return jnp.clip(jnp.round((x + 1) * 127.5), 0, 255).astype(jnp.uint8)
