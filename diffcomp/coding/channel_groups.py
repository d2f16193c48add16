"""The order in which y is coded: groups of channels, coarse to fine, each in passes over space.

The channels of y start as principal components, so the first hold means and slopes, the last fine
texture. A group is coded when all positions of the coarser groups are known, and within a group a
pass when those of the passes before are (Minnen and Singh 2020; He et al. 2022). Positions fall
into four phases, by the remainders of row and column modulo 2; a pass codes one of them, or two
that make a checkerboard:

    4 passes   0 2     2 passes   0 1
               3 1                1 0
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

Array = TypeVar("Array", bound=Any)


class Phase(NamedTuple):
    """The positions whose row and column leave these remainders modulo 2."""

    row: int
    column: int

    def of(self, h: Array) -> Array:
        """[B, H, W, C] -> those of its positions, [B, ceil((H - row) / 2), ..., C]."""
        return h[:, self.row :: 2, self.column :: 2]


PHASES = (Phase(0, 0), Phase(0, 1), Phase(1, 0), Phase(1, 1))  # the order of `space_to_depth`
# Number of passes -> the phases of each.
PASSES = {
    2: ((PHASES[0], PHASES[3]), (PHASES[1], PHASES[2])),
    4: ((PHASES[0],), (PHASES[3],), (PHASES[1],), (PHASES[2],)),
}


class ChannelGroup(NamedTuple):
    """Channels start to stop of y, and the phases of each of its passes."""

    start: int
    stop: int
    passes: tuple[tuple[Phase, ...], ...]

    @property
    def size(self) -> int:
        return self.stop - self.start

    @property
    def channels(self) -> slice:
        return slice(self.start, self.stop)


def channel_groups(
    starts: Sequence[int], passes: Sequence[int], channels: int
) -> tuple[ChannelGroup, ...]:
    """The groups that start at these channels, each in so many passes.

    Raises ValueError if they do not part `channels`, or for a number of passes that does not exist.
    """
    stops = (*starts[1:], channels)
    if not starts or starts[0] != 0 or any(a >= b for a, b in zip(starts, stops, strict=True)):
        raise ValueError(
            f"groups start at channels {tuple(starts)}; they must ascend from 0"
            f" to below {channels}."
        )
    if len(passes) != len(starts) or any(n not in PASSES for n in passes):
        raise ValueError(
            f"passes of the {len(starts)} groups are {tuple(passes)}; each must be one of"
            f" {', '.join(map(str, PASSES))}."
        )
    return tuple(
        ChannelGroup(start, stop, PASSES[n])
        for start, stop, n in zip(starts, stops, passes, strict=True)
    )
