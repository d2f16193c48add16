"""The published score network (Yang & Mandt 2023): a U-Net over six resolutions."""

import itertools

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from diffcomp.published.config import CdcConfig
from diffcomp.published.layers import (
    ContextTerms,
    Conv,
    LinearAttention,
    ResnetBlock,
    UpConv,
    layer_norm,
)
from diffcomp.published.transforms import CdcContextMaps


class Level(nn.Module):
    """Two residual blocks and linear attention, at one resolution."""

    n_in: int
    n_out: int
    large: bool = False

    def setup(self) -> None:
        self.block0 = ResnetBlock(self.n_in, self.n_out, large=self.large, timed=True)
        self.block1 = ResnetBlock(self.n_out, self.n_out, timed=True)
        self.attention = LinearAttention()

    def terms(self, context: Array) -> ContextTerms:
        """See `ResnetBlock.terms`."""
        return self.block0.terms(context)

    def __call__(self, h: Array, e: Array, terms: ContextTerms | None = None) -> Array:
        return self.attention(self.block1(self.block0(h, e, terms), e))


class CdcScoreNetwork(nn.Module):
    """Predicts x_0 or the noise from x_t, the time and the context maps.

    The maps enter the first convolutions of the finest four resolutions, beside x_t and what
    comes of it. They are the same in every step of a decode, so their part in these is computed
    once, by `terms`; at full resolution that convolution is 7x7, a quarter of the network's work.
    """

    config: CdcConfig

    def setup(self) -> None:
        widths, context_widths = self.config.score_widths, self.config.context_widths
        self.time_hidden = nn.Dense(4 * self.config.width)
        self.time_out = nn.Dense(self.config.width)

        inputs = [3, *widths[:-1]]
        for i, channels in enumerate(context_widths):
            inputs[i] += channels
        self.downs = [
            Level(n_in, n_out, large=i == 0)
            for i, (n_in, n_out) in enumerate(zip(inputs, widths, strict=True))
        ]
        self.downsamples = [nn.Conv(n, (3, 3), strides=2, padding=1) for n in widths[:-1]]

        self.middle_block0 = ResnetBlock(widths[-1], widths[-1], timed=True)
        self.middle_attention = LinearAttention()
        self.middle_block1 = ResnetBlock(widths[-1], widths[-1], timed=True)

        # From the coarsest; each level reads as many channels from below as from its skip.
        self.ups = [Level(2 * n, finer) for n, finer in itertools.pairwise(widths[::-1])]
        self.upsamples = [UpConv(n, 4) for n in widths[-2::-1]]
        self.head_norm = layer_norm()
        self.head = Conv(widths[0], 3, 7)

    def terms(self, context: CdcContextMaps) -> tuple[ContextTerms, ...]:
        """What the context maps contribute, finest first."""
        levels = self.downs[: len(context)]
        return tuple(level.terms(c) for level, c in zip(levels, context, strict=True))

    def __call__(self, x_t: Array, time: Array, terms: tuple[ContextTerms, ...]) -> Array:
        """x_t [B, H, W, 3], time [B] in [0, 1) -> prediction [B, H, W, 3].

        H and W are multiples of 32, `terms` those of the context maps.
        """
        e = self.time_hidden(time[:, None])
        e = self.time_out(nn.gelu(e, approximate=False))

        h, skips = x_t, []
        for i, level in enumerate(self.downs):
            h = level(h, e, terms[i] if i < len(terms) else None)
            skips.append(h)
            if i < len(self.downsamples):
                h = self.downsamples[i](h)
        h = self.middle_attention(self.middle_block0(h, e))
        h = self.middle_block1(h, e)
        # The skip at full resolution is left over: the published network does not use it.
        for level, up in zip(self.ups, self.upsamples, strict=True):
            h = up(level(jnp.concatenate([h, skips.pop()], axis=-1), e))
        return self.head(self.head_norm(h))
