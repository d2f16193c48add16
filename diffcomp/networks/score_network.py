"""The conditional score network: a small U-Net on 4x4 space-to-depth of x_t."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from diffcomp.coding.space_to_depth import depth_to_space, space_to_depth
from diffcomp.networks.config import ModelConfig
from diffcomp.networks.layers import ResBlocks, conv3x3, normalize
from diffcomp.networks.transforms import ContextMaps


class Start(NamedTuple):
    """What is known before the network is asked, each of the shape of x_t, or [B, 1, 1, 1]."""

    estimate: Array  # the best estimate of x_0 were the base's error Gaussian
    deviation: Array  # of that estimate from the base, in units of base_error
    posterior_deviation: Array  # of that estimate's error


class ScoreNetwork(nn.Module):
    """Estimates x_0 from x_t, as a correction of the base reconstruction.

    Were the base's error Gaussian with deviation s (`base_error`), the best estimate of x_0 would
    be base + k (x_t / alpha - base), k = s^2 alpha^2 / (s^2 alpha^2 + sigma^2), with deviation
    s sigma / sqrt(s^2 alpha^2 + sigma^2). The network starts there, and its output is scaled by
    that deviation (the preconditioning of Karras et al. 2022, section 5, around base, not zero).

    Its methods give one map each, which `stages` computes tile by tile.
    """

    config: ModelConfig

    def setup(self) -> None:
        widths, depths = self.config.widths, self.config.score_depths
        self.stem = conv3x3(widths[0])
        self.down4 = ResBlocks(widths[0], depths[0])
        self.to8 = nn.Dense(widths[1])
        self.down8 = ResBlocks(widths[1], depths[1])
        self.to16 = nn.Dense(widths[2])
        self.middle = ResBlocks(widths[2], depths[2])
        self.up8 = nn.Dense(4 * widths[1])
        self.blocks8 = ResBlocks(widths[1], depths[1])
        self.up4 = nn.Dense(4 * widths[0])
        self.blocks4 = ResBlocks(widths[0], depths[0])
        self.head = conv3x3(48, zero=True)

    def __call__(self, x_t: Array, alpha_bar: Array, context: ContextMaps, e: Array) -> Array:
        """x_t [B, H, W, 3], alpha_bar [B], e [B, condition_width] -> x_0 estimate [B, H, W, 3]."""
        skip4 = self.skip4(x_t, alpha_bar, context.c4, context.base, e)
        skip8 = self.skip8(skip4, context.c8, e)
        h16 = self.h16(skip8, context.c16, e)
        return self.x0(x_t, alpha_bar, context.base, skip4, skip8, h16, e)

    def skip4(self, x_t: Array, alpha_bar: Array, c4: Array, base: Array, e: Array) -> Array:
        """[B, H/4, W/4, widths[0]], which both the next level and the way up read."""
        deviation = self._start(x_t, alpha_bar, base).deviation
        inputs = jnp.concatenate([x_t, deviation], axis=-1)
        return self.down4(self.stem(space_to_depth(inputs, 4)) + c4, e)

    def skip8(self, skip4: Array, c8: Array, e: Array) -> Array:
        """[B, H/8, W/8, widths[1]], likewise."""
        return self.down8(self.to8(space_to_depth(skip4, 2)) + c8, e)

    def h16(self, skip8: Array, c16: Array, e: Array) -> Array:
        """[B, H/16, W/16, widths[2]], from where it goes up again."""
        return self.middle(self.to16(space_to_depth(skip8, 2)) + c16, e)

    def x0(
        self,
        x_t: Array,
        alpha_bar: Array,
        base: Array,
        skip4: Array,
        skip8: Array,
        h16: Array,
        e: Array,
    ) -> Array:
        """The estimate of x_0, [B, H, W, 3]."""
        h = self.blocks8(skip8 + depth_to_space(self.up8(h16), 2), e)
        h = self.blocks4(skip4 + depth_to_space(self.up4(h), 2), e)
        correction = depth_to_space(self.head(normalize(h)), 4)
        start = self._start(x_t, alpha_bar, base)
        return start.estimate + start.posterior_deviation * correction

    def _start(self, x_t: Array, alpha_bar: Array, base: Array) -> Start:
        signal = (self.config.base_error**2 * alpha_bar)[:, None, None, None]
        noise = (1 - alpha_bar)[:, None, None, None]
        # k / alpha is formed as one factor: alpha may be close to zero.
        shrink = self.config.base_error**2 * jnp.sqrt(alpha_bar)[:, None, None, None]
        estimate = base * (noise / (signal + noise)) + shrink / (signal + noise) * x_t
        return Start(
            estimate=estimate,
            deviation=(estimate - base) / self.config.base_error,
            posterior_deviation=self.config.base_error * jnp.sqrt(noise / (signal + noise)),
        )
