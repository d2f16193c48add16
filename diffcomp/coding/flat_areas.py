"""Areas of one colour: found in a picture, coded exactly, painted over what the networks make.

Paper, ink and plain grounds of graphics, and the clipped lights of photographs: a network draws
them nearly right, which is seen, or spends bits on them. So a file states them beside its latents.

The picture is parted into cells of 4x4 pixels (those at its end have what is left). A cell is in an
area if it lies in a square of 3x3 cells, 12x12 pixels, which are of one colour to the bit: nothing
narrower is worth its outline. The map of cells holds 0 where no area is, and else the number of
the area's colour, from the most frequent on.

The map is coded from coarse to fine. Cells at every 32nd row and column come first, on their own.
Then the distance halves, again and again: first come the cells in the middle of four that are
known, then those between a left and a right one, then those between an upper and a lower one. Each
knows four whose numbers were coded before. It is coded as the place of its number among theirs, the
most frequent first, in a table that depends on how the four agree; or, as an escape, by the number.

The chunk:

    bytes  field
        2  colours, k, from 1, unsigned and little-endian
           k times red, green and blue, a deflate stream without header (RFC 1951)
           a stream of the range coder: the symbols of all cells, in the order above
"""

import dataclasses
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from diffcomp.coding.bitstream import BitstreamError
from diffcomp.coding.flat_area_tables import (
    CANDIDATES,
    CLASS_OF,
    START_TABLE,
    first_table,
    tables,
)
from diffcomp.coding.grid import positions
from diffcomp.coding.range_coder import RangeDecoder, RangeEncoder

CELL = 4  # pixels
WINDOW = 3  # cells, of the smallest area
COARSEST = 32  # cells between those that are coded first
MAX_COLOURS = 2**16 - 1

_COUNT = struct.Struct("<H")

_DIAGONAL = ((-1, -1), (1, 1), (-1, 1), (1, -1))
_ACROSS, _UPRIGHT = ((0, -1), (0, 1)), ((-1, 0), (1, 0))

# Of four numbers in ascending order, by which of three pairs are equal, as bits: the places of the
# different ones, the most frequent first and else the lowest; -1 for none.
_PLACES = np.array(
    [
        (0, 1, 2, 3),  # none
        (2, 0, 1, -1),  # the highest two
        (1, 0, 3, -1),  # the middle two
        (3, 0, -1, -1),  # all but the lowest
        (0, 2, 3, -1),  # the lowest two
        (0, 3, -1, -1),  # two and two
        (0, 3, -1, -1),  # all but the highest
        (0, -1, -1, -1),  # all
    ]
)


@dataclasses.dataclass(frozen=True, eq=False)
class FlatAreas:
    """Which cells of a picture are of one colour, and of which."""

    numbers: np.ndarray  # int32 [ceil(H/4), ceil(W/4)], 0 or the number of a colour, from 1
    colours: np.ndarray  # uint8 [k, 3], sRGB, of number 1 first

    def mask(self, height: int, width: int) -> np.ndarray:
        """Which pixels of the picture are in an area, bool [height, width]."""
        return (self.numbers > 0).repeat(CELL, 0).repeat(CELL, 1)[:height, :width]


class _Pass(NamedTuple):
    """Cells that are coded together, each by four others that are known."""

    cells: tuple[np.ndarray, np.ndarray]  # rows and columns, int32 [n]
    neighbours: np.ndarray  # int32 [4, n], their numbers: two that face each other, then two
    table: int  # the first of the pass's tables


def find_flat_areas(image: np.ndarray) -> FlatAreas | None:
    """The areas of a picture, uint8 [H, W, 3]; None if there are none, or of too many colours."""
    square = (WINDOW, WINDOW)
    alike = _corners_alike(image)
    if min(alike.shape) < WINDOW or not sliding_window_view(alike, square).all((2, 3)).any():
        return None  # as of most photographs
    lowest, highest = _cell_extremes(image)
    whole = sliding_window_view(lowest, square).min((2, 3)) == sliding_window_view(
        highest, square
    ).max((2, 3))
    flat = sliding_window_view(np.pad(whole, WINDOW - 1), square).any((2, 3))
    found, inverse, counts = np.unique(lowest[flat], return_inverse=True, return_counts=True)
    if not 0 < len(found) <= MAX_COLOURS:
        return None
    order = np.argsort(-counts, kind="stable")
    numbers = np.zeros(flat.shape, np.int32)
    numbers[flat] = np.argsort(order)[inverse] + 1
    colours = found[order, None] >> np.array([16, 8, 0]) & 0xFF
    return FlatAreas(numbers, colours.astype(np.uint8))


def paint(image: np.ndarray, areas: FlatAreas) -> None:
    """Gives the areas their colours in a picture, uint8 [H, W, 3], which is changed."""
    for row, numbers in enumerate(areas.numbers):  # row by row: no second picture in memory
        wide = numbers.repeat(CELL)[: image.shape[1]]
        rows = image[row * CELL : (row + 1) * CELL]
        rows[:, wide > 0] = areas.colours[wide[wide > 0] - 1]


def pack_flat_areas(areas: FlatAreas | None) -> bytes:
    """The chunk; empty for no areas."""
    if areas is None:
        return b""
    encoder = RangeEncoder(tables())
    for symbols, indexes in symbols_of(areas.numbers):
        encoder.encode_index(symbols, indexes)
    deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    colours = deflate.compress(areas.colours.tobytes()) + deflate.flush()
    return _COUNT.pack(len(areas.colours)) + colours + encoder.finish()


def symbols_of(numbers: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Symbols and indexes of a map, integers of one shape, call after call of the range coder."""
    start = numbers[_start(numbers.shape)]
    yield start, np.full(start.shape, START_TABLE)
    for each in _passes(numbers):
        candidates, indexes = _candidates(each)
        wanted = numbers[each.cells]
        hit = candidates == wanted
        yield np.where(hit.any(axis=0), hit.argmax(axis=0), CANDIDATES + wanted), indexes


def unpack_flat_areas(chunk: bytes, height: int, width: int) -> FlatAreas | None:
    """The inverse of `pack_flat_areas`, of a picture of this size in pixels.

    Raises BitstreamError for a chunk that is not of its kind.
    """
    if not chunk:
        return None
    colours, stream = _unpack_colours(chunk)
    numbers = np.zeros((positions(height, CELL), positions(width, CELL)), np.int32)
    decoder = RangeDecoder(tables(), stream)
    start = _start(numbers.shape)
    numbers[start] = decoder.decode_index(np.full(numbers[start].shape, START_TABLE))
    _check_numbers(numbers, len(colours))
    for each in _passes(numbers):
        candidates, indexes = _candidates(each)
        symbols = decoder.decode_index(indexes)
        if np.any(symbols < 0):
            raise BitstreamError(f"the areas have a symbol {symbols.min()}; none is below 0")
        place = np.clip(symbols, 0, CANDIDATES - 1)
        repeated = np.take_along_axis(candidates, place[None], axis=0)[0]
        numbers[each.cells] = np.where(symbols < CANDIDATES, repeated, symbols - CANDIDATES)
        _check_numbers(numbers[each.cells], len(colours))
    decoder.finish()
    return FlatAreas(numbers, colours)


def _corners_alike(image: np.ndarray) -> np.ndarray:
    """Cells that may be of one colour, by two of their pixels: bool [rows, columns]."""
    alike = np.ones([positions(side, CELL) for side in image.shape[:2]], bool)
    last = image[CELL - 1 :: CELL, CELL - 1 :: CELL]
    rows, columns = last.shape[:2]
    first = image[::CELL, ::CELL][:rows, :columns]
    alike[:rows, :columns] = (first == last).all(axis=-1)
    return alike


def _cell_extremes(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest colour of each cell, as integers 0xRRGGBB, int32 [rows, columns].

    They are one only if all pixels are of one colour.
    """
    height, width = image.shape[:2]
    shape = positions(height, CELL), positions(width, CELL)
    lowest, highest = np.empty(shape, np.int32), np.empty(shape, np.int32)
    for row in range(shape[0]):  # row by row: no second picture in memory
        rows = image[row * CELL : (row + 1) * CELL].astype(np.int32)
        values = rows[..., 0] << 16 | rows[..., 1] << 8 | rows[..., 2]
        missing = shape[1] * CELL - width
        cells = np.pad(values, ((0, 0), (0, missing)), "edge").reshape(len(rows), -1, CELL)
        lowest[row], highest[row] = cells.min((0, 2)), cells.max((0, 2))
    return lowest, highest


def _unpack_colours(chunk: bytes) -> tuple[np.ndarray, bytes]:
    """uint8 [k, 3], and the stream that follows them; raises BitstreamError."""
    if len(chunk) < _COUNT.size:
        raise BitstreamError(f"the areas of one colour end after {len(chunk)} bytes")
    (count,) = _COUNT.unpack_from(chunk)
    inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        values = inflate.decompress(chunk[_COUNT.size :], 3 * count + 1)
    except zlib.error as error:
        raise BitstreamError(f"the colours of the areas are damaged: {error}") from error
    if count == 0 or len(values) != 3 * count or not inflate.eof:
        raise BitstreamError(
            f"the areas of one colour must have {count} colours, from 1 to {MAX_COLOURS},"
            f" found {len(values)} bytes of them"
        )
    return np.frombuffer(values, np.uint8).reshape(count, 3), inflate.unused_data


def _check_numbers(numbers: np.ndarray, colours: int) -> None:
    if numbers.size and not 0 <= numbers.min() <= numbers.max() <= colours:
        raise BitstreamError(
            f"the areas name colours from {numbers.min()} to {numbers.max()}; there are {colours}"
        )


def _start(shape: tuple[int, int]) -> tuple[slice, slice]:
    return slice(0, shape[0], COARSEST), slice(0, shape[1], COARSEST)


def _passes(numbers: np.ndarray) -> Iterator[_Pass]:
    """All passes, each of which reads of `numbers` only what those before it have said."""
    distance = COARSEST // 2
    while distance:
        odd, even = slice(distance, None, 2 * distance), slice(0, None, 2 * distance)
        for rows, columns, offsets in (
            (odd, odd, _DIAGONAL),
            (even, odd, _ACROSS + _UPRIGHT),
            (odd, even, _UPRIGHT + _ACROSS),
        ):
            row, column = (np.arange(length, dtype=np.int32) for length in numbers.shape)
            grid = np.broadcast_arrays(row[rows, None], column[None, columns])
            cells = grid[0].ravel(), grid[1].ravel()
            neighbours = _neighbours(numbers, cells, distance * np.array(offsets, np.int32))
            yield _Pass(cells, neighbours, first_table(distance, offsets is _DIAGONAL))
        distance //= 2


def _neighbours(
    numbers: np.ndarray, cells: tuple[np.ndarray, np.ndarray], offsets: np.ndarray
) -> np.ndarray:
    """Numbers int32 [4, n] at four offsets; the highest of them in place of those outside."""
    rows, columns = cells[0] + offsets[:, :1], cells[1] + offsets[:, 1:]
    height, width = numbers.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    found = numbers[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    found = np.where(inside, found, -1)
    return np.where(inside, found, found.max(axis=0))


def _candidates(each: _Pass) -> tuple[np.ndarray, np.ndarray]:
    """Numbers that a cell may have, int32 [4, n], likeliest first, -1 for none; and its table [n].

    They are its neighbours', and 0 after these: between two areas mostly lies none.
    """
    ranked = np.sort(each.neighbours, axis=0)
    agreement = ((ranked[1:] == ranked[:-1]) * np.array([[4], [2], [1]])).sum(axis=0)
    places = _PLACES[agreement].T
    numbers = np.where(places < 0, -1, np.take_along_axis(ranked, np.maximum(places, 0), axis=0))
    at_edge = ranked[0] == 0
    after = np.minimum((places >= 0).sum(axis=0), CANDIDATES - 1)
    last = np.where(at_edge, numbers[after, np.arange(len(after))], 0)
    np.put_along_axis(numbers, after[None], last[None], axis=0)
    facing = each.neighbours[0] == each.neighbours[1]
    return numbers, each.table + CLASS_OF[agreement, at_edge.astype(int), facing.astype(int)]
