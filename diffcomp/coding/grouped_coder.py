"""The coding part of the base model, in integers: groups of channels, each in passes over space."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from diffcomp.coding import entropy_parameters
from diffcomp.coding.channel_groups import ChannelGroup, Phase, channel_groups
from diffcomp.coding.entropy_parameters import CHANGE_BITS, LARGEST_CHANGE, REACH, Seen
from diffcomp.coding.fixed_point import (
    LARGEST_ACTIVATION,
    PARAMETER_BITS,
    dequantize_conv,
    round_shift,
)
from diffcomp.coding.grid import Z_PER_Y, positions
from diffcomp.coding.latent_coder import STEP_BITS, LatentCoder, Part, to_symbols
from diffcomp.coding.quality import CODES

ACTIVATION_BITS = 10  # fraction bits of the activations, in [-8192, 8192)
# Positions of y that are computed at once: a pass takes 5 kB for each in the base model. So do the
# features, which are computed of 16 rows more than are kept.
PASS_POSITIONS = 16384
FEATURE_POSITIONS = 32768
# Fraction bits of each layer's input and output, by the part of its name before "_". z_hat is an
# integer.
LAYER_BITS = {
    "up32": (0, ACTIVATION_BITS),
    "up16": (ACTIVATION_BITS, ACTIVATION_BITS),
    "features": (ACTIVATION_BITS, ACTIVATION_BITS),
    "head": (ACTIVATION_BITS, PARAMETER_BITS),
    "mix": (ACTIVATION_BITS, ACTIVATION_BITS),
    "coarser": (ACTIVATION_BITS, ACTIVATION_BITS),
    "own": (ACTIVATION_BITS, ACTIVATION_BITS),
    "tail": (ACTIVATION_BITS, ACTIVATION_BITS),
    "refine": (ACTIVATION_BITS, PARAMETER_BITS),
    "step": (ACTIVATION_BITS, PARAMETER_BITS),
}
# From what "step" gives to multiples of 2**-CHANGE_BITS.
CHANGE_SHIFT = PARAMETER_BITS - CHANGE_BITS
# What a model's folder may hold, so that no product of the two and a symbol leaves 64 bits.
LARGEST_FACTOR = 2**20
LARGEST_STEP = 2**38


@dataclasses.dataclass(frozen=True, eq=False)
class GroupedCoder(LatentCoder):
    """Means and log2 of scales, pass by pass of each group of channels; steps by quality and z."""

    step: np.ndarray  # int64 [CODES, C], quantisation step by quality code, where z changes nothing
    log2_step: np.ndarray  # int64 [CODES, C]
    step_factors: np.ndarray  # int32 [2 * LARGEST_CHANGE + 1], what z's changes multiply it by
    group_starts: np.ndarray  # int32 [G], first channel of each group
    group_passes: np.ndarray  # int32 [G], passes of each
    by_quality: np.ndarray  # int16 [CODES, G, width], what the networks are told of the quality
    by_pass: np.ndarray  # int16 [sum of passes, width], and of the pass; both are activations

    slope: ClassVar[float] = entropy_parameters.SLOPE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step.shape[0] != CODES or self.step.shape != self.log2_step.shape:
            raise ValueError(
                f"step is {self.step.shape} and log2_step {self.log2_step.shape};"
                f" both must have {CODES} rows and as many columns as y has channels."
            )
        factors = 2 * LARGEST_CHANGE + 1
        if self.step_factors.shape != (factors,):
            raise ValueError(f"step_factors is {self.step_factors.shape}; it must be ({factors},).")
        largest = {"step": LARGEST_STEP, "step_factors": LARGEST_FACTOR}
        for name, limit in largest.items():
            values = getattr(self, name)
            if values.min() < 1 or values.max() > limit:
                raise ValueError(
                    f"{name} has values from {values.min()} to {values.max()};"
                    f" they must be from 1 to {limit}."
                )
        width = len(self.layers.convs["features"].bias)
        told = (CODES, len(self.groups), width), (int(self.group_passes.sum()), width)
        if (self.by_quality.shape, self.by_pass.shape) != told:
            raise ValueError(
                f"by_quality is {self.by_quality.shape} and by_pass {self.by_pass.shape};"
                f" they must be {told[0]} and {told[1]}."
            )

    @functools.cached_property
    def groups(self) -> tuple[ChannelGroup, ...]:
        starts, passes = self.group_starts.tolist(), self.group_passes.tolist()
        return channel_groups(starts, passes, self.step.shape[1])

    def float_layers(self, prefix: str) -> dict[str, np.ndarray]:
        """Kernel and bias of each layer as floats equal to the integers, by path.

        Training that goes on from an export thus starts from what its files are coded with.
        """
        params = {}
        for name, conv in self.layers.convs.items():
            kernel, bias = dequantize_conv(conv)
            params[f"{prefix}{name}/kernel"], params[f"{prefix}{name}/bias"] = kernel, bias
        return params

    def z_symbols(self, z: np.ndarray) -> np.ndarray:
        return to_symbols(z)

    def steps(self, quality_code: int) -> np.ndarray:
        return self.step[quality_code]

    def passes(
        self, z_symbols: np.ndarray, y_hat: np.ndarray, quality_code: int
    ) -> Iterator[Iterator[Part]]:
        f = self._features(z_symbols, y_hat.shape)
        by_pass = iter(self.by_pass)
        for g, group in enumerate(self.groups):
            known: tuple[Phase, ...] = ()
            by_quality = self.by_quality[quality_code, g].astype(np.float64)
            for phases in group.passes:
                told = by_quality + next(by_pass)
                yield self._parts(g, phases, known, f, y_hat, told, quality_code)
                known += phases

    def _features(self, z_symbols: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """What all passes share, [h, w, width]: integers below 2**24, so float32 holds them."""
        height, width = shape[:2]
        f = np.empty((height, width, len(self.layers.convs["features"].bias)), np.float32)
        for rows in row_parts(shape, FEATURE_POSITIONS):
            # Each position reads z up to 2 rows away.
            first = max(rows.start // Z_PER_Y - 2, 0)
            window = z_symbols[first : positions(rows.stop, Z_PER_Y) + 2]
            z_hat = np.clip(window[None], -LARGEST_ACTIVATION, LARGEST_ACTIVATION)
            of_window = entropy_parameters.features(self.layers, z_hat.astype(np.float64))[0]
            start = Z_PER_Y * first
            f[rows] = of_window[rows.start - start : rows.stop - start, :width]
        return f

    def _parts(
        self,
        g: int,
        phases: tuple[Phase, ...],
        known: tuple[Phase, ...],
        f: np.ndarray,
        y_hat: np.ndarray,
        told: np.ndarray,
        quality_code: int,
    ) -> Iterator[Part]:
        """A pass over group g: at `phases`, when its own y_hat is known at those before.

        A phase after another, so that the order does not depend on the size of the parts.
        """
        for phase, rows in itertools.product(phases, row_parts(f.shape, PASS_POSITIONS)):
            at = slice(rows.start + phase.row, rows.stop, 2)
            if not len(range(at.start, at.stop)) or phase.column >= f.shape[1]:
                continue  # a picture so small has no such position
            # An even number of rows more on either side, so that phases stay what they are.
            first, stop = max(rows.start - REACH, 0), rows.stop + REACH
            seen = self._seen(g, known, y_hat[None, first:stop])
            window = f[None, first:stop].astype(np.float64)
            parameters = entropy_parameters.parameters(self.layers, g, phase, window, told, seen)
            changes = entropy_parameters.step_changes(self.layers, g, phase.of(window))
            above = (rows.start - first) // 2
            kept = slice(above, above + len(range(at.start, at.stop, 2)))
            where = at, slice(phase.column, None, 2), self.groups[g].channels
            yield self._part(where, parameters[0, kept], changes[0, kept], quality_code)

    def _seen(self, g: int, known: tuple[Phase, ...], y_hat: np.ndarray) -> Seen:
        group = self.groups[g]
        coarser = _activation(y_hat[..., : group.start]) if group.start else None
        if not known:
            return Seen(coarser, None)
        own = np.zeros((*y_hat.shape[:-1], group.size))
        for phase in known:  # the others may be of this very pass
            phase.of(own)[...] = _activation(phase.of(y_hat)[..., group.channels])
        return Seen(coarser, own)

    def _part(
        self,
        at: tuple[slice, slice, slice],
        parameters: np.ndarray,
        changes: np.ndarray,
        code: int,
    ) -> Part:
        changes = round_shift(changes, CHANGE_SHIFT)
        changes = np.clip(changes, -LARGEST_CHANGE, LARGEST_CHANGE).astype(np.int64)
        factors = self.step_factors[changes[..., 0] + LARGEST_CHANGE]
        mean, log2_scale = np.split(parameters.astype(np.int64), 2, axis=-1)
        log2_scale = log2_scale - self.log2_step[code, at[-1]] - (changes << CHANGE_SHIFT)
        indexes = np.searchsorted(self.scale_thresholds, log2_scale).astype(np.int32)
        mean <<= STEP_BITS - PARAMETER_BITS
        return Part(at, mean, self.step[code, at[-1]], factors, indexes)


def row_parts(shape: tuple[int, ...], of_part: int) -> Iterator[slice]:
    """The rows of [h, w, ...] in parts of about `of_part` positions each, of whole rows of z."""
    height, width = shape[:2]
    rows = max(1, round(of_part / width / Z_PER_Y)) * Z_PER_Y
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def _activation(y_hat: np.ndarray) -> np.ndarray:
    """y_hat in units of 2**-STEP_BITS -> what the networks read."""
    limit = entropy_parameters.Y_LIMIT * 2.0**ACTIVATION_BITS
    return np.clip(
        round_shift(y_hat.astype(np.float64), STEP_BITS - ACTIVATION_BITS), -limit, limit
    )
