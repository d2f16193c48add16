"""The float side of `entropy_parameters`: what training fits, and what export turns integer."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from diffcomp.coding import entropy_parameters
from diffcomp.coding.channel_groups import PHASES, ChannelGroup, Phase
from diffcomp.coding.entropy_parameters import CHANGE_BITS, MAX_OCTAVES, Seen
from diffcomp.coding.space_to_depth import depth_to_space
from diffcomp.networks.config import ModelConfig
from diffcomp.networks.quality_knots import interpolate_knots
from diffcomp.networks.quantization import lower_bound, quantize, ste_round


class Convolution(nn.Module):
    """Stride 1, zero padding that keeps the size: [B, H, W, C_in] -> [B, H, W, C_out].

    As one product of matrices over the taps: the pictures of y are small and have many channels,
    for which XLA's convolutions on a CPU take three times as long.
    """

    side: int
    channels: int
    zero: bool  # whether it starts at zero

    @nn.compact
    def __call__(self, h: Array, phase: Phase | None = None) -> Array:
        """With a phase: at its positions alone."""
        init = nn.initializers.zeros if self.zero else nn.initializers.he_normal()
        kernel = self.param("kernel", init, (self.side, self.side, h.shape[-1], self.channels))
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        product = _taps(h, self.side, phase) @ kernel.reshape(-1, self.channels)
        return product + bias[None, None, None]


class FloatLayers(nn.Module):
    """`entropy_parameters.Layers` in floats, and what they give: parameters and steps of y."""

    config: ModelConfig

    def setup(self) -> None:
        width, groups = self.config.coding_width, self.config.groups
        shapes = entropy_parameters.layer_shapes(self.config.hyper_channels, width, groups)
        self.convs = {
            name: Convolution(side, n_out, zero=name.startswith(("head", "refine", "step")))
            for name, (side, _, n_out) in shapes.items()
        }
        knots, passes = self.config.quality_knots, sum(len(group.passes) for group in groups)
        zeros = nn.initializers.zeros
        self.by_quality = self.param("by_quality", zeros, (knots, len(groups), width))
        self.by_pass = self.param("by_pass", zeros, (passes, width))

    def linear(self, name: str, h: Array, phase: Phase | None = None) -> Array:
        return self.convs[name](h, phase)

    def activate(self, h: Array) -> Array:
        return nn.leaky_relu(h, entropy_parameters.SLOPE)

    def __call__(self, z_hat: Array, y: Array, step: Array, quality: Array) -> tuple[Array, Array]:
        """Parameters of all of y, [B, H, W, 2 C], mean then log2 scale; and its steps [B, H, W, C].

        z_hat [B, H/4, W/4, D]; y [B, H, W, C], of which each pass sees what passes before made of
        it with these steps; step [B, 1, 1, C], which they are around; quality [B] in [1, 8].
        """
        f = entropy_parameters.features(self, z_hat)
        knots = self.by_quality.reshape(len(self.by_quality), -1)
        by_quality = interpolate_knots(knots, quality).reshape(-1, *self.by_quality.shape[1:])
        means, log2_scales, steps, first_pass = [], [], [], 0
        coarser = None
        for g, group in enumerate(self.config.groups):
            step_g = step[..., group.channels] * self._step_factor(g, f)
            last_pass = first_pass + len(group.passes)
            told = by_quality[:, None, g] + self.by_pass[None, first_pass:last_pass]
            first_pass = last_pass
            of_group, y_hat = self._of_group(
                g, group, f, told, y[..., group.channels], step_g, coarser
            )
            coarser = y_hat if coarser is None else jnp.concatenate([coarser, y_hat], -1)
            mean, log2_scale = jnp.split(of_group, 2, axis=-1)
            means.append(mean)
            log2_scales.append(log2_scale)
            steps.append(step_g)
        return jnp.concatenate(means + log2_scales, axis=-1), jnp.concatenate(steps, axis=-1)

    def _step_factor(self, g: int, f: Array) -> Array:
        """What the steps of group g are multiplied by, [B, H, W, 1]."""
        unit, limit = 2.0**-CHANGE_BITS, float(MAX_OCTAVES)
        octaves = ste_round(entropy_parameters.step_changes(self, g, f) / unit) * unit
        # Bounded so that a gradient may lead back from beyond.
        return jnp.exp2(-lower_bound(-lower_bound(octaves, -limit), -limit))

    def _of_group(
        self,
        g: int,
        group: ChannelGroup,
        f: Array,
        told: Array,
        y: Array,
        step: Array,
        coarser: Array | None,
    ) -> tuple[Array, Array]:
        """Its parameters and what is made of y with them; told [B, passes, width]."""
        own = {phase: jnp.zeros_like(phase.of(y)) for phase in PHASES}
        found = {}
        for n, phases in enumerate(group.passes):
            seen = Seen(coarser, _interleave(own) if n else None)
            for phase in phases:
                by = told[:, n, None, None]
                found[phase] = entropy_parameters.parameters(self, g, phase, f, by, seen)
            for phase in phases:
                own[phase] = _clipped(quantize(phase.of(y), found[phase], phase.of(step))[0])
        return _interleave(found), _interleave(own)


def _taps(h: Array, side: int, phase: Phase | None) -> Array:
    """What each position, or each of a phase, sees: [B, ..., side * side * C], row by row."""
    height, width = h.shape[1:3]
    (top, left), stride = phase or (0, 0), 1 if phase is None else 2
    margin = side // 2
    h = jnp.pad(h, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    return jnp.concatenate(
        [
            h[:, top + i : height + i : stride, left + j : width + j : stride]
            for i in range(side)
            for j in range(side)
        ],
        axis=-1,
    )


def _interleave(by_phase: dict[Phase, Array]) -> Array:
    """Four of [B, H/2, W/2, C] -> [B, H, W, C]."""
    return depth_to_space(jnp.concatenate([by_phase[phase] for phase in PHASES], axis=-1), 2)


def _clipped(y_hat: Array) -> Array:
    limit = entropy_parameters.Y_LIMIT
    return jnp.clip(y_hat, -limit, limit)
