"""The blocks that every float network is made of: plain 3x3 convolutions, and conditioning."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

FOURIER_FEATURES = 8


class Conditioning(nn.Module):
    """Embeds scalars such as quality, realism and noise level, each in [0, 1], into one vector."""

    width: int

    @nn.compact
    def __call__(self, scalars: Sequence[Array]) -> Array:
        """Each scalar [B] -> embedding [B, width]."""
        u = jnp.stack(scalars, axis=-1)  # [B, n]
        k = jnp.arange(FOURIER_FEATURES, dtype=u.dtype)
        features = jnp.cos(jnp.pi * u[:, :, None] * k[None, None]).reshape(u.shape[0], -1)
        e = nn.silu(nn.Dense(self.width, name="hidden")(features))
        return nn.silu(nn.Dense(self.width, name="out")(e))


def conv3x3(channels: int, name: str | None = None, zero: bool = False) -> nn.Conv:
    """A plain 3x3 convolution; `zero` starts it at zero, for the end of a residual branch.

    Within `setup` the attribute gives the name.
    """
    init = nn.initializers.zeros if zero else nn.initializers.lecun_normal()
    return nn.Conv(channels, (3, 3), padding=1, kernel_init=init, name=name)


def normalize(h: Array) -> Array:
    """Zero mean and unit variance over the channels of each position."""
    h = h - jnp.mean(h, axis=-1, keepdims=True)
    return h / jnp.sqrt(jnp.mean(h * h, axis=-1, keepdims=True) + 1e-6)


class ResBlock(nn.Module):
    """h + conv(SiLU(conv(modulate(normalize(h), e)))), [B, H, W, C] -> the same.

    The last convolution starts at zero, so a new block is the identity. The modulation is
    adaptive layer normalisation (Perez et al. 2018; Peebles & Xie 2023).
    """

    channels: int

    @nn.compact
    def __call__(self, h: Array, e: Array) -> Array:
        modulation = nn.Dense(2 * self.channels, kernel_init=nn.initializers.zeros, name="film")(e)
        scale, shift = jnp.split(modulation[:, None, None, :], 2, axis=-1)
        u = normalize(h) * (1 + scale) + shift
        u = nn.silu(conv3x3(self.channels, "conv_in")(u))
        return h + conv3x3(self.channels, "conv_out", zero=True)(u)


class ResBlocks(nn.Module):
    """`depth` residual blocks in a row."""

    channels: int
    depth: int

    @nn.compact
    def __call__(self, h: Array, e: Array) -> Array:
        for i in range(self.depth):
            h = ResBlock(self.channels, name=f"block{i}")(h, e)
        return h
