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
        # Scaled so that a unit of residual means the same in pixels for all channels: otherwise the
        # least uncertainty of the network would swamp the strongest components.
        scale = jax.lax.stop_gradient(jnp.linalg.norm(self.basis, axis=0))
        return self.linear(x) + self.residual(x, e) * scale[None, None, None]


class AnalysisResidual(nn.Module):
    """Residual blocks at 1/4, 1/8 and 1/16; [B, H, W, 3] -> [B, H/16, W/16, latent_channels]."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x: Array, e: Array) -> Array:
        widths, depths = self.config.widths, self.config.encoder_depths
        h = conv3x3(widths[0], "stem")(space_to_depth(x, 4))
        h = ResBlocks(widths[0], depths[0], name="blocks4")(h, e)
        h = nn.Dense(widths[1], name="down8")(space_to_depth(h, 2))
        h = ResBlocks(widths[1], depths[1], name="blocks8")(h, e)
        h = nn.Dense(widths[2], name="down16")(space_to_depth(h, 2))
        h = ResBlocks(widths[2], depths[2], name="blocks16")(h, e)
        return conv3x3(self.config.latent_channels, "head", zero=True)(normalize(h))


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
    """Residual blocks at 1/16, 1/8 and 1/4 that correct the linear reconstruction."""

    config: ModelConfig

    @nn.compact
    def __call__(self, y_hat: Array, linear: Array, e: Array) -> ContextMaps:
        widths, depths = self.config.widths, self.config.context_depths
        h = conv3x3(widths[2], "stem16")(jnp.arcsinh(y_hat))
        c16 = ResBlocks(widths[2], depths[2], name="blocks16")(h, e)
        h = depth_to_space(nn.Dense(4 * widths[1], name="up8")(c16), 2)
        c8 = ResBlocks(widths[1], depths[1], name="blocks8")(h, e)
        h = depth_to_space(nn.Dense(4 * widths[0], name="up4")(c8), 2)
        h = h + conv3x3(widths[0], "stem4")(space_to_depth(linear, 4))
        c4 = ResBlocks(widths[0], depths[0], name="blocks4")(h, e)
        correction = conv3x3(48, "head", zero=True)(normalize(c4))
        base = linear + depth_to_space(correction, 4)
        return ContextMaps(c4=c4, c8=c8, c16=c16, base=base)
