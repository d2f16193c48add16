"""The transforms around the latents of the published model (Yang & Mandt 2023, appendix).

Images are float32 [B, H, W, 3] in [-1, 1], H and W multiples of 64; y is at 1/16, z at 1/64, and
both have `latent_channels` channels, C below.
"""

import itertools

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from diffcomp.published.config import CdcConfig
from diffcomp.published.layers import ResnetBlock, UpConv, leaky_relu

CdcContextMaps = tuple[Array, ...]  # [B, H/2**i, W/2**i, context_widths[i]], i = 0 ... 3


class CdcAnalysis(nn.Module):
    """g_a: x -> y [B, H/16, W/16, C], a residual block before each of four halvings."""

    config: CdcConfig

    def setup(self) -> None:
        sides = (3, *self.config.compressor_widths)
        self.blocks = [
            ResnetBlock(n_in, n_out, large=i == 0)
            for i, (n_in, n_out) in enumerate(itertools.pairwise(sides))
        ]
        self.downs = [nn.Conv(n, (3, 3), strides=2, padding=1) for n in sides[1:]]

    def __call__(self, x: Array) -> Array:
        for block, down in zip(self.blocks, self.downs, strict=True):
            x = down(block(x))
        return x


class CdcHyperAnalysis(nn.Module):
    """h_a: y [B, H/16, W/16, C] -> z [B, H/64, W/64, C]."""

    config: CdcConfig

    def setup(self) -> None:
        channels = self.config.latent_channels
        self.convs = [
            nn.Conv(channels, (3, 3), padding=1),
            nn.Conv(channels, (5, 5), strides=2, padding=2),
            nn.Conv(channels, (5, 5), strides=2, padding=2),
        ]

    def __call__(self, y: Array) -> Array:
        first, second, third = self.convs
        return third(leaky_relu(second(leaky_relu(first(y)))))


class CdcHyperSynthesis(nn.Module):
    """h_s: z_hat [B, H/64, W/64, C] -> mean and scale, each [B, H/16, W/16, C].

    The scale is as the network gives it, not yet bounded from below.
    """

    config: CdcConfig

    def setup(self) -> None:
        channels = self.config.latent_channels
        self.ups = [UpConv(channels, 5), UpConv(channels, 5)]
        self.head = nn.Conv(2 * channels, (3, 3), padding=1)

    def __call__(self, z_hat: Array) -> tuple[Array, Array]:
        h = z_hat
        for up in self.ups:
            h = leaky_relu(up(h))
        mean, scale = jnp.split(self.head(h), 2, axis=-1)
        return mean, scale


class CdcContextDecoder(nn.Module):
    """y_hat [B, H/16, W/16, C] -> context maps, a residual block before each of four doublings."""

    config: CdcConfig

    def setup(self) -> None:
        inputs = self.config.compressor_widths[::-1]
        outputs = self.config.context_widths[::-1]
        # The last block keeps its channels: at full resolution, fewer come out of the doubling.
        between = (*inputs[1:], inputs[-1])
        self.blocks = [ResnetBlock(*sides) for sides in zip(inputs, between, strict=True)]
        self.ups = [UpConv(n, 4) for n in outputs]

    def __call__(self, y_hat: Array) -> CdcContextMaps:
        """The maps, from the one at full resolution on."""
        h, maps = y_hat, []
        for block, up in zip(self.blocks, self.ups, strict=True):
            h = up(block(h))
            maps.append(h)
        return tuple(maps[::-1])
