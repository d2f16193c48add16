"""The four transforms around the latents, built of space-to-depth and plain 3x3 convolutions.

y is kept in units of its components' spread on photographs: the Karhunen-Loeve basis is divided
by it on the way in and multiplied on the way out, so every network reads values of order one.
Images are float32 [B, H, W, 3] in [-1, 1], H and W multiples of 64.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from diffcomp.coding.grid import Y_STRIDE
from diffcomp.coding.space_to_depth import depth_to_space, space_to_depth
from diffcomp.networks.config import ModelConfig
from diffcomp.networks.layers import ResBlocks, conv3x3, normalize

PATCH_VALUES = Y_STRIDE * Y_STRIDE * 3


class ContextMaps(NamedTuple):
    """What the decoder knows of the image from y_hat alone."""

    c4: Array  # [B, H/4, W/4, widths[0]]
    c8: Array  # [B, H/8, W/8, widths[1]]
    c16: Array  # [B, H/16, W/16, widths[2]]
    base: Array  # [B, H, W, 3], the reconstruction of least squared error


class AnalysisTransform(nn.Module):
    """g_a: x -> y, a linear transform plus a residual that starts at zero."""

    config: ModelConfig

    def setup(self) -> None:
        channels = self.config.latent_channels
        init = nn.initializers.orthogonal()
        self.basis = self.param("basis", init, (PATCH_VALUES, channels))
        self.offset = self.param("offset", nn.initializers.zeros, (PATCH_VALUES,))
        self.residual = AnalysisResidual(self.config)

    def linear(self, x: Array) -> Array:
        """The linear path alone: [B, H, W, 3] -> [B, H/16, W/16, latent_channels]."""
        return (space_to_depth(x, Y_STRIDE) - self.offset[None, None, None]) @ self.basis

    def __call__(self, x: Array, e: Array) -> Array:
        return self.combine(x, self.residual(x, e))

    def combine(self, x: Array, residual: Array) -> Array:
        """y of the image and of what the residual branch gives for it."""
        # Scaled so that a unit of residual means the same in pixels for all channels: otherwise the
        # least uncertainty of the network would swamp the strongest components.
        scale = jax.lax.stop_gradient(jnp.linalg.norm(self.basis, axis=0))
        return self.linear(x) + residual * scale[None, None, None]


class AnalysisResidual(nn.Module):
    """Residual blocks at 1/4, 1/8 and 1/16; [B, H, W, 3] -> [B, H/16, W/16, latent_channels].

    Its methods are what `stages` computes tile by tile.
    """

    config: ModelConfig

    def setup(self) -> None:
        widths, depths = self.config.widths, self.config.encoder_depths
        self.stem = conv3x3(widths[0])
        self.blocks4 = ResBlocks(widths[0], depths[0])
        self.down8 = nn.Dense(widths[1])
        self.blocks8 = ResBlocks(widths[1], depths[1])
        self.down16 = nn.Dense(widths[2])
        self.blocks16 = ResBlocks(widths[2], depths[2])
        self.head = conv3x3(self.config.latent_channels, zero=True)

    def __call__(self, x: Array, e: Array) -> Array:
        return self.from16(self.to16(self.to8(x, e), e), e)

    def to8(self, x: Array, e: Array) -> Array:
        """x [B, H, W, 3] -> [B, H/8, W/8, widths[1]]."""
        h = self.blocks4(self.stem(space_to_depth(x, 4)), e)
        return self.down8(space_to_depth(h, 2))

    def to16(self, h: Array, e: Array) -> Array:
        """What `to8` gives -> [B, H/16, W/16, widths[2]]."""
        return self.down16(space_to_depth(self.blocks8(h, e), 2))

    def from16(self, h: Array, e: Array) -> Array:
        """What `to16` gives -> [B, H/16, W/16, latent_channels]."""
        return self.head(normalize(self.blocks16(h, e)))


class HyperAnalysis(nn.Module):
    """h_a: y [B, H/16, W/16, C] -> z [B, H/64, W/64, hyper_channels].

    Large coefficients are compressed by asinh first: y has heavy tails. z does not depend on the
    quality, since y is read before the gain.
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, y: Array) -> Array:
        width = self.config.coding_width
        h = jnp.concatenate([jnp.arcsinh(y), jnp.log(jnp.abs(y) + 0.1)], axis=-1)
        h = nn.silu(nn.Dense(width, name="stem")(h))
        h = nn.silu(conv3x3(width, "conv16")(h))
        h = nn.silu(nn.Dense(width, name="down32")(space_to_depth(h, 2)))
        h = nn.silu(conv3x3(width, "conv32")(h))
        return nn.Dense(self.config.hyper_channels, name="head")(space_to_depth(h, 2))


class ContextDecoder(nn.Module):
    """y_hat -> context maps at 1/16, 1/8, 1/4 and the base reconstruction.

    Most of a decoder's work sits here, since it runs once per image.
    """

    config: ModelConfig

    def setup(self) -> None:
        channels = self.config.latent_channels
        init = nn.initializers.orthogonal()
        self.basis = self.param("basis", init, (channels, PATCH_VALUES))
        self.offset = self.param("offset", nn.initializers.zeros, (PATCH_VALUES,))
        self.residual = ContextResidual(self.config)

    def linear(self, y_hat: Array) -> Array:
        """The linear path alone: [B, H/16, W/16, C] -> [B, H, W, 3]."""
        return depth_to_space(y_hat @ self.basis + self.offset[None, None, None], Y_STRIDE)

    def __call__(self, y_hat: Array, e: Array) -> ContextMaps:
        return self.residual(y_hat, self.linear(y_hat), e)


class ContextResidual(nn.Module):
    """Residual blocks at 1/16, 1/8 and 1/4 that correct the linear reconstruction.

    Its methods give one map each, which `stages` computes tile by tile.
    """

    config: ModelConfig

    def setup(self) -> None:
        widths, depths = self.config.widths, self.config.context_depths
        self.stem16 = conv3x3(widths[2])
        self.blocks16 = ResBlocks(widths[2], depths[2])
        self.up8 = nn.Dense(4 * widths[1])
        self.blocks8 = ResBlocks(widths[1], depths[1])
        self.up4 = nn.Dense(4 * widths[0])
        self.stem4 = conv3x3(widths[0])
        self.blocks4 = ResBlocks(widths[0], depths[0])
        self.head = conv3x3(48, zero=True)

    def __call__(self, y_hat: Array, linear: Array, e: Array) -> ContextMaps:
        c16 = self.c16(y_hat, e)
        c8 = self.c8(c16, e)
        c4 = self.c4(c8, linear, e)
        return ContextMaps(c4=c4, c8=c8, c16=c16, base=self.base(c4, linear))

    def c16(self, y_hat: Array, e: Array) -> Array:
        return self.blocks16(self.stem16(jnp.arcsinh(y_hat)), e)

    def c8(self, c16: Array, e: Array) -> Array:
        return self.blocks8(depth_to_space(self.up8(c16), 2), e)

    def c4(self, c8: Array, linear: Array, e: Array) -> Array:
        h = depth_to_space(self.up4(c8), 2) + self.stem4(space_to_depth(linear, 4))
        return self.blocks4(h, e)

    def base(self, c4: Array, linear: Array) -> Array:
        return linear + depth_to_space(self.head(normalize(c4)), 4)
