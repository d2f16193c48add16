"""Maps of a picture that is too large to be computed whole, tile by tile and without seams.

A network is cut into stages, each of which makes one map from a few others. A stage is computed in
windows of one shape: where a window ends inside the picture, the outputs that might see the end
(its margin) are cut away, and the next window makes them; where it ends with the picture, its
convolutions end there too, as they do in the whole. So the maps are those of the whole picture,
and since a stage sees only a few pixels far, little is computed twice.

Maps are pulled: the last stage asks for what it needs of its inputs, these for theirs. They are
made in strips across the shorter side of the picture, and each strip is dropped when all that read
it are past it. What is in memory is a few strips of each map, however long the picture.

Lengths and coordinates are pixels of the picture throughout; a map of stride s has a position for
s x s of them. This module knows no network.
"""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

# Sides of windows are multiples of this, so that pictures of many sizes share compiled programs.
SIDE_STEP = 32

Progress = Callable[[int, int], None]  # is told of tiles done, and of tiles in all


@dataclasses.dataclass(frozen=True)
class Stage:
    """How one map is made of others."""

    name: str  # of the map
    inputs: tuple[str, ...]  # maps, all read in the same window
    program: str  # what computes it
    stride: int
    sight: int  # a position depends on nothing further than this from it
    width: int  # of a window across the picture's strips, at most
    length: int  # of a window along the picture, at most: what is kept in memory grows with it
    grain: int = 16  # where windows begin and end: whole positions of every map of the stage

    @property
    def margin(self) -> int:
        """What is cut away of a window at each end that is not the picture's."""
        return -(-self.sight // self.grain) * self.grain


# (stage, row and column where its window begins, windows of its inputs) -> its map in the window
Compute = Callable[[Stage, tuple[int, int], Sequence[np.ndarray]], np.ndarray]


class Span(NamedTuple):
    """A window along one axis, and the part of it that is kept."""

    start: int
    stop: int
    kept_start: int
    kept_stop: int


def spans(length: int, largest: int, stage: Stage) -> list[Span]:
    """Windows of a stage, of one length, whose kept parts cover 0 to `length`.

    `length` and `largest`, that of a window, are multiples of SIDE_STEP and of the stage's grain.
    Of all numbers of windows, that with which the least is computed.
    """
    if length <= largest:
        return [Span(0, length, 0, length)]
    margin, step = stage.margin, max(SIDE_STEP, stage.grain)
    least = -(-(length - 2 * margin) // (largest - 2 * margin))
    sides = {n: -(-(length + 2 * margin * (n - 1)) // n) for n in range(least, least + 3)}
    sides = {n: -(-side // step) * step for n, side in sides.items()}
    count = min(sides, key=lambda n: (n * sides[n], n))
    side, kept = sides[count], 0
    found = []
    for i in range(count):
        start = min(i * (side - 2 * margin), length - side)
        stop = length if start + side == length else start + side - margin
        found.append(Span(start, start + side, kept, stop))
        kept = stop
    return found


class Map(Protocol):
    """Something that windows can be read of."""

    def window(self, rows: Span, columns: Span) -> np.ndarray:
        """The map's positions there, [h, w, C]."""


class Source(Map):
    """An array that is there, [h, w, C]; beyond its end its last row and column are repeated."""

    def __init__(self, array: np.ndarray, stride: int):
        self._array, self._stride = array, stride

    def window(self, rows: Span, columns: Span) -> np.ndarray:
        parts = [
            slice(span.start // self._stride, span.stop // self._stride) for span in (rows, columns)
        ]
        inside = self._array[*parts]
        missing = [part.stop - part.start - n for part, n in zip(parts, inside.shape, strict=False)]
        return np.pad(inside, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")


class Drawn(Map):
    """A map that is computed of nothing but where its window is."""

    def __init__(self, draw: Callable[[Span, Span], np.ndarray]):
        self._draw = draw

    def window(self, rows: Span, columns: Span) -> np.ndarray:
        return self._draw(rows, columns)


class _Strip(NamedTuple):
    start: int
    stop: int
    array: np.ndarray


class StagedMap(Map):
    """A map that is made when it is read."""

    def __init__(
        self,
        stage: Stage,
        inputs: Mapping[str, Map],
        size: tuple[int, int],
        compute: Compute,
    ):
        self.stage = stage
        self.output: np.ndarray | None = None  # gets the map whole, if there is one
        self.needed: dict[str, int] = {}  # by reader, what it has not released yet begins here
        self._inputs, self._size, self._compute = inputs, size, compute
        self._axis = 0 if size[0] >= size[1] else 1  # strips follow one another along the longer
        self._along = spans(size[self._axis], stage.length, stage)
        self._across = spans(size[1 - self._axis], stage.width, stage)
        self._strips: collections.deque[_Strip] = collections.deque()
        self._made = 0

    @property
    def tiles(self) -> int:
        return len(self._along) * len(self._across)

    def finish(self) -> None:
        """Makes all that has not been made yet."""
        while self._made < len(self._along):
            self._make_strip()

    def window(self, rows: Span, columns: Span) -> np.ndarray:
        along, across = (rows, columns) if self._axis == 0 else (columns, rows)
        while self._made < len(self._along) and self._along[self._made].kept_start < along.stop:
            self._make_strip()
        parts = []
        for strip in self._strips:
            start, stop = max(along.start, strip.start), min(along.stop, strip.stop)
            if start < stop:
                within = slice(start - strip.start, stop - strip.start)
                parts.append(strip.array[self._index(within, slice(across.start, across.stop))])
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=self._axis)

    def release(self, reader: str, start: int) -> None:
        """Says that a reader needs nothing before `start` along the picture any more."""
        self.needed[reader] = start
        first = min(self.needed.values())
        while self._strips and self._strips[0].stop <= first:
            self._strips.popleft()
        if self._strips:
            self._strips[0] = self._without_start(self._strips[0], first)

    def _without_start(self, strip: _Strip, first: int) -> _Strip:
        """The strip from pixel `first` on, if that frees most of its memory."""
        if strip.stop - first > (strip.stop - strip.start) // 2:
            return strip
        rest = slice(first - strip.start, strip.stop - strip.start)
        kept = strip.array[self._index(rest, slice(0, self._size[1 - self._axis]))]
        return _Strip(first, strip.stop, kept.copy())

    def _index(self, along: slice, across: slice) -> tuple[slice, slice]:
        """Positions of the map from pixels along and across the picture."""
        parts = (along, across) if self._axis == 0 else (across, along)
        first, second = (
            slice(part.start // self.stage.stride, part.stop // self.stage.stride) for part in parts
        )
        return first, second

    def _make_strip(self) -> None:
        along = self._along[self._made]
        self._made += 1
        tiles = [self._tile(along, across) for across in self._across]
        strip = tiles[0] if len(tiles) == 1 else np.concatenate(tiles, axis=1 - self._axis)
        if self.output is not None:
            whole = slice(0, self._size[1 - self._axis])
            kept = self.output[self._index(slice(along.kept_start, along.kept_stop), whole)]
            kept[:] = strip[: kept.shape[0], : kept.shape[1]]  # the output may end earlier
        if self.needed:
            self._strips.append(_Strip(along.kept_start, along.kept_stop, strip))
        ended = self._made == len(self._along)
        following = self._size[self._axis] if ended else self._along[self._made].start
        for source in self._inputs.values():
            if isinstance(source, StagedMap):
                source.release(self.stage.name, following)

    def _tile(self, along: Span, across: Span) -> np.ndarray:
        rows, columns = (along, across) if self._axis == 0 else (across, along)
        windows = [source.window(rows, columns) for source in self._inputs.values()]
        tile = self._compute(self.stage, (rows.start, columns.start), windows)
        kept = (slice(s.kept_start - s.start, s.kept_stop - s.start) for s in (along, across))
        return tile[self._index(*kept)]


def compute_maps(
    stages: Sequence[Stage],
    sources: Mapping[str, Map],
    outputs: Mapping[str, np.ndarray],
    size: tuple[int, int],
    compute: Compute,
    progress: Progress | None = None,
) -> None:
    """Makes the maps that `outputs` names, and writes them there, as far as the arrays reach.

    Args:
      stages: each after those that make its inputs, and each of use to an output.
      sources: the maps that are there already.
      outputs: arrays [h, w, C], that begin where the picture does. One may be that of a source
        whose readers see, together, less far than the stage that writes it, and that itself reads
        it pixel by pixel: where it writes, all have read.
      size: height and width of the picture, multiples of SIDE_STEP and of all
        grains.
      compute: what computes a window.
      progress: is called after each.
    """
    total = done = 0

    def counted(stage: Stage, origin: tuple[int, int], windows: Sequence[np.ndarray]) -> np.ndarray:
        nonlocal done
        tile = compute(stage, origin, windows)
        done += 1
        if progress is not None:
            progress(done, total)
        return tile

    made: dict[str, StagedMap] = {}
    for stage in stages:
        inputs = {name: made.get(name) or sources[name] for name in stage.inputs}
        made[stage.name] = StagedMap(stage, inputs, size, counted)
        made[stage.name].output = outputs.get(stage.name)
        for name in stage.inputs:
            if name in made:
                made[name].needed[stage.name] = 0
        total += made[stage.name].tiles
    for name in outputs:
        made[name].finish()
