"""TensorFlow Compression's range coder, byte for byte, as loops that Numba compiles.

A stream is one number in [0, 1), written in base 2**16. Encoder and decoder narrow an interval,
symbol by symbol, to the part that a table gives to each symbol. The state is that interval, in
units of the second digit that has not left yet: `base`, of 32 bits, and `width`, the size less
one, from 2**16 - 1 to 2**32 - 1. When the size falls to 2**16 or less, the first digit is settled
and leaves, and both move up by one digit.

Unless the interval still straddles a multiple of 2**32: then it is not known whether a carry will
raise that digit. The encoder then holds back the raised digit in `held`, and counts in `run` the
digits behind it, which will be 0 if the carry comes and 2**16 - 1 if it does not. A run has no
limit of length. The decoder needs no carry: it only ever looks at differences.

The end of the stream is the number of the interval with the most zeros at its end, and the zero
bytes there are not written. A decoder therefore reads zeros after the end of its data, and checks
in `finish` that its own number is that one.

Compiled code is kept on disk, so that only the first use ever of an installation compiles (some
two seconds): beside this file, or if that is not writable in the user's cache folder, or where
`NUMBA_CACHE_DIR` says. Both loops let other threads run.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types

MAX_PRECISION = 16
_MASK = 2**32 - 1
_DIGIT = 2**16 - 1  # the largest digit
_HINTS = 256  # for each table

# Unsigned, or every access would first look whether to count from the end.
_WORDS = types.Array(types.uint32, 1, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_STATE = types.int64[::1]


def _compiled(*signature: types.Type) -> Callable[[Callable], Callable]:
    """Returns a decorator: compiles for one signature, result first, or loads what was compiled."""

    def compiled(function: Callable) -> Callable:
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
        kernel_type = signature[0](*signature[1:])
        try:
            return njit(kernel_type, cache=True, **options)(function)
        except Exception:
            # No folder for compiled code is a RuntimeError, a full disk an OSError, a damaged file
            # whatever unpickling raises. All of them cost only time. What is wrong with the
            # function itself shows again here.
            return njit(kernel_type, **options)(function)

    return compiled


@_compiled(types.int64, _WORDS, _WORDS, _WORDS, _WORDS, _STATE, types.uint8[::1])
def _encode(
    lookup: np.ndarray,
    starts: np.ndarray,
    positions: np.ndarray,
    indexes: np.ndarray,
    state: np.ndarray,
    out: np.ndarray,
) -> int:
    """Narrows the interval by each symbol, writes to `out` and returns the bytes written.

    Args:
      lookup: uint32 [total], tables, each as precision and cumulative counts.
      starts: uint32 [tables + 1], where in `lookup` each begins.
      positions: uint32 [n], of the symbols within their tables.
      indexes: uint32 [n], of the tables.
      state: int64 [4], base, width, held and run; it is changed.
      out: uint8, room for two bytes a symbol and the digits that are held back.
    """
    base, width, held, run = state[0], state[1], state[2], state[3]
    written = 0
    for i in range(len(positions)):
        start = starts[indexes[i]]
        precision = lookup[start]
        entry = start + 1 + positions[i]
        size = width + 1
        low = (size * lookup[entry]) >> precision
        width = ((size * lookup[entry + 1]) >> precision) - 1 - low
        base += low
        carry = base > _MASK
        base &= _MASK
        straddles = base + width > _MASK
        if held and not straddles:
            digit = held if carry else held - 1
            out[written] = digit >> 8
            out[written + 1] = digit & 0xFF
            end = written + 2 + 2 * run
            out[written + 2 : end] = 0 if carry else 0xFF
            written = end
            held = run = 0
        if width <= _DIGIT:
            digit = base >> 16
            base = (base << 16) & _MASK
            width = (width << 16) | _DIGIT
            if straddles:
                run += 1
            elif base + width > _MASK:
                held = digit + 1
            else:
                out[written] = digit >> 8
                out[written + 1] = digit & 0xFF
                written += 2
    state[0], state[1], state[2], state[3] = base, width, held, run
    return written


@_compiled(types.void, _WORDS, _WORDS, _WORDS, _WORDS, _BYTES, _STATE, types.uint32[::1])
def _decode(
    lookup: np.ndarray,
    starts: np.ndarray,
    hints: np.ndarray,
    indexes: np.ndarray,
    data: np.ndarray,
    state: np.ndarray,
    positions: np.ndarray,
) -> None:
    """Fills `positions` with the parts of the interval in which the stream's number lies.

    Whatever the data, that number lies within the interval: at first this is everything, and then
    the part with the number in it. So every search ends within its table, after at most 256 steps.

    Args:
      lookup, starts, indexes: as in `_encode`.
      hints: uint32 [tables * 256], see `search_hints`.
      data: uint8 [length], the stream.
      state: int64 [4], base, width, how far the number lies above base, and how many bytes of data
        were read; it is changed.
      positions: uint32 [n].
    """
    base, width, above, read = state[0], state[1], state[2], state[3]
    for i in range(len(indexes)):
        start = starts[indexes[i]]
        precision = lookup[start]
        size = width + 1
        # Where one symbol has most of the probability, it is the one in the middle. The processor
        # foresees that, and goes on to the next symbol before it has divided and searched.
        entry = hints[(indexes[i] << 8) + 128]
        low = (size * lookup[entry]) >> precision
        high = (size * lookup[entry + 1]) >> precision
        if above < low or above >= high:
            # The largest count whose part of the interval begins at the number or before.
            count = (((above + 1) << precision) - 1) // size
            hint = (count << (16 - precision) >> 8) & 0xFF
            entry = hints[(indexes[i] << 8) + hint]
            while lookup[entry + 1] <= count:
                entry += 1
            low = (size * lookup[entry]) >> precision
            high = (size * lookup[entry + 1]) >> precision
        positions[i] = entry - start - 1
        width = high - 1 - low
        base = (base + low) & _MASK
        above -= low
        if width <= _DIGIT:
            base = (base << 16) & _MASK
            width = (width << 16) | _DIGIT
            for _ in range(2):
                above <<= 8
                if read < len(data):
                    above |= data[read]
                    read += 1
    state[0], state[1], state[2], state[3] = base, width, above, read


class Encoder:
    """Writes positions within tables; see `range_coder.PositionEncoder`."""

    def __init__(self, lookup: np.ndarray) -> None:
        self._tables = lookup.view(np.uint32), table_starts(lookup)
        self._state = np.array([0, _MASK, 0, 0])
        self._data = bytearray()

    def encode(self, positions: np.ndarray, indexes: np.ndarray) -> None:
        held_back = 1 + int(self._state[3])
        out = np.empty(2 * (len(positions) + held_back), np.uint8)
        symbols = positions.view(np.uint32), indexes.view(np.uint32)
        written = _encode(*self._tables, *symbols, self._state, out)
        self._data += out[:written].data

    def finish(self) -> bytes:
        base, width, held, _ = map(int, self._state)
        digit = held or _last_number(base, width) >> 16
        return bytes(self._data) + digit.to_bytes(2, "big").rstrip(b"\0")


class Decoder:
    """Reads positions within tables; see `range_coder.PositionDecoder`."""

    def __init__(self, lookup: np.ndarray, data: bytes) -> None:
        starts = table_starts(lookup)
        self._tables = lookup.view(np.uint32), starts, search_hints(lookup, starts)
        self._data = np.frombuffer(data, np.uint8)
        above = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        self._state = np.array([0, _MASK, above, min(4, len(data))])

    def decode(self, indexes: np.ndarray) -> np.ndarray:
        positions = np.empty(len(indexes), np.uint32)
        _decode(*self._tables, indexes.view(np.uint32), self._data, self._state, positions)
        return positions.view(np.int32)

    def finish(self) -> bool:
        base, width, above, read = map(int, self._state)
        return read == len(self._data) and base + above == _last_number(base, width)


def _last_number(base: int, width: int) -> int:
    """Returns the number from `base` to `base + width` at which an encoder stops.

    It is a multiple of 2**32, or else of 2**24, or else of 2**16, which every interval holds.
    """
    for bits in (32, 24, 16):
        number = -(-base >> bits) << bits
        if number <= base + width:
            break
    return number


def table_starts(lookup: np.ndarray) -> np.ndarray:
    """Returns where in `lookup` each table begins, and its end, uint32 [tables + 1].

    Args:
      lookup: int32 [total], for each table its precision p and counts from 0 to 2**p.

    Raises:
      ValueError: unless every precision is from 1 to 16 and all counts grow by at least 1.
    """
    starts = np.append(np.flatnonzero(lookup == 0) - 1, len(lookup))  # no other entry is 0
    if starts[0] != 0 or not _are_tables(lookup, starts[:-1], starts[1:] - 1):
        raise ValueError(
            f"tables must be a precision p from 1 to {MAX_PRECISION} and counts that grow from 0 to"
            f" 2**p, found {lookup}"
        )
    return starts.astype(np.uint32)


def _are_tables(lookup: np.ndarray, firsts: np.ndarray, lasts: np.ndarray) -> bool:
    """Whether each table has a known precision, growing counts and the right last one."""
    precisions = lookup[firsts]
    if len(firsts) == 0 or precisions.min() < 1 or precisions.max() > MAX_PRECISION:
        return False
    grows = np.diff(lookup) > 0
    grows[firsts] = grows[lasts[:-1]] = True  # from a precision to 0, from a table to the next
    return bool(np.all(lookup[lasts] == 1 << precisions) and grows.all())


def search_hints(lookup: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Returns where in `lookup` to begin to search, uint32 [tables * 256].

    For each table and each h from 0 to 255: the last entry that is at most h / 256 of its total.

    Args:
      lookup: int32 [total], tables.
      starts: uint32 [tables + 1], from `table_starts`.
    """
    firsts, lengths = starts[:-1], np.diff(starts)
    # Counts with a precision of 16, those of each table above those of the one before.
    floors = np.arange(len(lengths)) << 16
    counts = lookup << (16 - np.repeat(lookup[firsts], lengths))
    counts = counts + np.repeat(floors, lengths)
    counts[firsts] = floors
    hints_before = -(-counts // (2**16 // _HINTS))
    return np.repeat(np.arange(len(lookup) - 1, dtype=np.uint32), np.diff(hints_before))
