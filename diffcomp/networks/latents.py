"""What every family's encoder gives, and what its hyperprior makes of it."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array


class Latents(NamedTuple):
    y: Array  # [B, H/16, W/16, C]
    z: Array  # [B, H/64, W/64, D]


class Rate(NamedTuple):
    y_hat: Array  # [B, H/16, W/16, C], straight-through rounded
    bits_y: Array  # [B], estimated bits of y
    bits_z: Array  # [B], estimated bits of z


def sum_per_image(bits: Array) -> Array:
    """Bits [B, h, w, C] -> [B]."""
    return jnp.sum(bits, axis=(1, 2, 3))
