"""The conditional score network: a small U-Net on 4x4 space-to-depth of x_t."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from diffcomp.coding.space_to_depth import depth_to_space, space_to_depth
from diffcomp.networks.config import ModelConfig
from diffcomp.networks.layers import ResBlocks, conv3x3, normalize
from diffcomp.networks.transforms import ContextMaps


class ScoreNetwork(nn.Module):
    """Estimates x_0 from x_t, as a correction of the base reconstruction.

    Were the base's error Gaussian with deviation s (`base_error`), the best estimate of x_0 would
    be base + k (x_t / alpha - base), k = s^2 alpha^2 / (s^2 alpha^2 + sigma^2), with deviation
    s sigma / sqrt(s^2 alpha^2 + sigma^2). The network starts there, and its output is scaled by
    that deviation (the preconditioning of Karras et al. 2022, section 5, around base, not zero).
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, x_t: Array, alpha_bar: Array, context: ContextMaps, e: Array) -> Array:
        """x_t [B, H, W, 3], alpha_bar [B], e [B, condition_width] -> x_0 estimate [B, H, W, 3]."""
        signal = (self.config.base_error**2 * alpha_bar)[:, None, None, None]
        noise = (1 - alpha_bar)[:, None, None, None]
        posterior_deviation = self.config.base_error * jnp.sqrt(noise / (signal + noise))
        # k / alpha is formed as one factor: alpha may be close to zero.
        shrink = self.config.base_error**2 * jnp.sqrt(alpha_bar)[:, None, None, None]
        shrink = shrink / (signal + noise)
        start = context.base * (noise / (signal + noise)) + shrink * x_t
        deviation = (start - context.base) / self.config.base_error
        return start + posterior_deviation * self._unet(x_t, deviation, context, e)

    def _unet(self, x_t: Array, deviation: Array, context: ContextMaps, e: Array) -> Array:
        widths, depths = self.config.widths, self.config.score_depths
        inputs = jnp.concatenate([x_t, deviation], axis=-1)
        h = conv3x3(widths[0], "stem")(space_to_depth(inputs, 4)) + context.c4
        h = skip4 = ResBlocks(widths[0], depths[0], name="down4")(h, e)
        h = nn.Dense(widths[1], name="to8")(space_to_depth(h, 2)) + context.c8
        h = skip8 = ResBlocks(widths[1], depths[1], name="down8")(h, e)
        h = nn.Dense(widths[2], name="to16")(space_to_depth(h, 2)) + context.c16
        h = ResBlocks(widths[2], depths[2], name="middle")(h, e)
        h = skip8 + depth_to_space(nn.Dense(4 * widths[1], name="up8")(h), 2)
        h = ResBlocks(widths[1], depths[1], name="blocks8")(h, e)
        h = skip4 + depth_to_space(nn.Dense(4 * widths[0], name="up4")(h), 2)
        h = ResBlocks(widths[0], depths[0], name="blocks4")(h, e)
        return depth_to_space(conv3x3(48, "head", zero=True)(normalize(h)), 4)
