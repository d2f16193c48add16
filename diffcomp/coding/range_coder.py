"""Codes integers into bytes: TensorFlow Compression's range coder, over the tables of `cdf_tables`.

The streams are those of its ops, byte for byte. There are two implementations, which write the
same bytes and read any bytes alike: `numba_range_coder`, our own, compiled by Numba, which is the
default; and `tfc_range_coder`, the ops themselves, for comparison, with the environment variable
`DIFFCOMP_RANGE_CODER=tfc`.

Both read the layout of `CdfTables.lookup`; which table codes a symbol is said by its index. A
symbol outside of its table is coded as the table's escape. Its excess e (1, 2, ... above the last
symbol, -1, -2, ... below the first) follows after all symbols of the same call, in two parts:

    1. for every escape, floor(log2 |e|) and the sign of e, uniform over 64 values;
    2. for every escape, the floor(log2 |e|) bits of |e| below its leading one, highest first.
"""

import importlib
import os
from types import ModuleType
from typing import NamedTuple, Protocol

import numpy as np

from diffcomp.coding.bitstream import BitstreamError
from diffcomp.coding.cdf_tables import ESCAPE_HEADER_BITS, MAX_SYMBOL, CdfTables, escape_excess

IMPLEMENTATION_VARIABLE = "DIFFCOMP_RANGE_CODER"
IMPLEMENTATIONS = ("numba", "tfc")  # the first is the default

# Two tables that follow the model's own, precision first: escape headers, and single bits.
_HEADER_TABLE = np.append(ESCAPE_HEADER_BITS, np.arange(2**ESCAPE_HEADER_BITS + 1))
_BIT_TABLE = np.array([1, 0, 1, 2])


class PositionEncoder(Protocol):
    """What an implementation's `Encoder(lookup)` does: it codes positions, without escapes.

    `lookup` is int32 [total]: for each table its precision from 1 to 16 and its counts, which grow
    from 0 to 2**precision. Positions and indexes are C-contiguous and have been checked.
    """

    def encode(self, positions: np.ndarray, indexes: np.ndarray) -> None:
        """Appends positions, int32 [n], each within the table of its index, int32 [n]."""

    def finish(self) -> bytes:
        """Returns the stream."""


class PositionDecoder(Protocol):
    """What an implementation's `Decoder(lookup, data)` does; see `PositionEncoder`."""

    def decode(self, indexes: np.ndarray) -> np.ndarray:
        """Returns positions, int32 [n], each within the table of its index, int32 [n]."""

    def finish(self) -> bool:
        """Whether the stream was read to its end and the state is one where encoders stop."""


def implementation() -> ModuleType:
    """The chosen implementation, imported late, since Numba takes most of a second.

    Raises:
      ImportError: if it needs a package that is not installed.
      ValueError: if `DIFFCOMP_RANGE_CODER` names none.
    """
    name = os.environ.get(IMPLEMENTATION_VARIABLE, IMPLEMENTATIONS[0])
    if name not in IMPLEMENTATIONS:
        raise ValueError(
            f"{IMPLEMENTATION_VARIABLE} is {name!r}; it must be one of {', '.join(IMPLEMENTATIONS)}"
        )
    return importlib.import_module(f"diffcomp.coding.{name}_range_coder")


class RangeEncoder:
    """Writes symbols into one stream. Calls may follow one another until `finish`."""

    def __init__(self, tables: CdfTables) -> None:
        self._tables = tables
        self._encoder: PositionEncoder | None = implementation().Encoder(_lookup(tables))
        self._excess: list[np.ndarray] = []  # of the parts so far, until they end

    def encode_channel(self, symbols: np.ndarray) -> None:
        """Appends `symbols`, where the last axis says which table codes each.

        Args:
          symbols: integers [..., C] with C = len(tables), within ±`MAX_SYMBOL`.

        Raises:
          ValueError: for other shapes, types and values.
        """
        symbols = _checked_symbols(symbols)
        self.encode_index(symbols, _channel_indexes(self._tables, symbols.shape))

    def encode_index(self, symbols: np.ndarray, indexes: np.ndarray) -> None:
        """Appends `symbols`, each coded by the table that its index names.

        Args:
          symbols: integers of any shape, within ±`MAX_SYMBOL`.
          indexes: integers of the same shape, 0 <= index < len(tables).

        Raises:
          ValueError: for other shapes, types and values.
        """
        self.encode_part(symbols, indexes)
        self.end_parts()

    def encode_part(self, symbols: np.ndarray, indexes: np.ndarray) -> None:
        """`encode_index` of some of a call's symbols: more parts may follow, then `end_parts`.

        The stream is that of one call with all the parts; raises as `encode_index`.
        """
        symbols = _checked_symbols(symbols)
        indexes = _checked_indexes(self._tables, indexes)
        if symbols.shape != indexes.shape:
            raise ValueError(
                f"symbols and indexes must agree in shape: {symbols.shape}, {indexes.shape}"
            )
        symbols, indexes = symbols.ravel(), indexes.ravel()
        positions = symbols - np.take(self._tables.offsets, indexes)
        escapes = np.take(_escapes(self._tables), indexes)
        escaped = np.flatnonzero((positions < 0) | (positions >= escapes))
        positions[escaped] = escapes[escaped]
        self._encode(positions, indexes)
        self._excess.append(escape_excess(self._tables, symbols[escaped], indexes[escaped]))

    def end_parts(self) -> None:
        """Appends the values of all escapes since the last call, which ends it."""
        excess, self._excess = self._excess, []
        self._encode_excess(np.concatenate([np.zeros(0, np.int64), *excess]))

    def finish(self) -> bytes:
        """Returns the stream. The encoder cannot be used afterwards."""
        encoder, self._encoder = self._open_encoder(), None
        return encoder.finish()

    def _encode_excess(self, excess: np.ndarray) -> None:
        """Appends the values of escapes, int64 [n], none of them 0."""
        magnitudes = np.abs(excess)
        lengths = np.frexp(magnitudes)[1] - 1
        self._encode(2 * lengths + (excess < 0), np.full(len(excess), len(self._tables)))
        shifts = _shifts(lengths)
        bits = np.repeat(magnitudes, lengths) >> shifts & 1
        self._encode(bits, np.full(len(bits), len(self._tables) + 1))

    def _encode(self, positions: np.ndarray, indexes: np.ndarray) -> None:
        """Appends positions within tables; both arguments are integers [n]."""
        self._open_encoder().encode(_int32(positions), _int32(indexes))

    def _open_encoder(self) -> PositionEncoder:
        if self._encoder is None:
            raise ValueError("the encoder is finished")
        return self._encoder


class _Escapes(NamedTuple):
    """Those of one part, each [n]."""

    where: np.ndarray  # in the flattened part
    first: np.ndarray  # the first symbol of the escape's table
    above: np.ndarray  # the one after its last


class RangeDecoder:
    """Reads symbols back: the same calls, with the same shapes and indexes, as the encoder's.

    Any bytes decode to some symbols, past the end of a stream as if zeros followed. `finish`
    notices bytes that were left unread, but not a missing end and only some changes: those are for
    a checksum to find.
    """

    def __init__(self, tables: CdfTables, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise ValueError(f"data must be bytes, found {type(data).__name__}")
        self._tables = tables
        self._decoder: PositionDecoder | None = implementation().Decoder(_lookup(tables), data)
        self._escapes: list[_Escapes] = []  # of the parts so far, until they end

    def decode_channel(self, shape: tuple[int, ...]) -> np.ndarray:
        """Returns int32 symbols of `shape` [..., C], C = len(tables); see `encode_channel`.

        Raises:
          ValueError: if the last axis is not as long as there are tables.
          BitstreamError: if an escape leads beyond ±`MAX_SYMBOL`.
        """
        return self.decode_index(_channel_indexes(self._tables, shape))

    def decode_index(self, indexes: np.ndarray) -> np.ndarray:
        """Returns int32 symbols of the shape of `indexes`; see `encode_index`.

        Raises:
          ValueError: if `indexes` are not integers with 0 <= index < len(tables).
          BitstreamError: if an escape leads beyond ±`MAX_SYMBOL`.
        """
        symbols = self.decode_part(indexes)
        ((where, values),) = self.end_parts()
        symbols.flat[where] = values
        return symbols

    def decode_part(self, indexes: np.ndarray) -> np.ndarray:
        """`decode_index` of some of a call's symbols, but for the escapes: see `end_parts`."""
        shape, indexes = np.shape(indexes), _checked_indexes(self._tables, indexes).ravel()
        positions = self._decode(indexes)
        escaped = np.flatnonzero(positions == np.take(_escapes(self._tables), indexes))
        symbols = positions + np.take(self._tables.offsets, indexes)
        first = self._tables.offsets[indexes[escaped]]
        self._escapes.append(_Escapes(escaped, first, symbols[escaped]))
        return symbols.reshape(shape)

    def end_parts(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each part since the last call: where in it, flattened, escapes are, and their values.

        Raises:
          BitstreamError: if an escape leads beyond ±`MAX_SYMBOL`.
        """
        parts, self._escapes = self._escapes, []
        excess = self._decode_excess(sum(len(part.where) for part in parts))
        ends = np.cumsum([len(part.where) for part in parts])  # after the last comes nothing
        corrections = []
        for part, of_part in zip(parts, np.split(excess, ends), strict=False):
            values = np.where(of_part < 0, part.first + of_part, part.above + of_part - 1)
            if np.any(np.abs(values) > MAX_SYMBOL):
                largest = values[np.argmax(np.abs(values))]
                raise BitstreamError(
                    f"the stream is damaged: symbol {largest} is beyond ±{MAX_SYMBOL}"
                )
            corrections.append((part.where, values))
        return corrections

    def finish(self) -> None:
        """Ends decoding. The decoder cannot be used afterwards.

        Raises:
          BitstreamError: if the stream was not read to its end, or the state is otherwise not one
            in which an encoder stops. It says nothing about a stream that was read too far.
        """
        decoder, self._decoder = self._open_decoder(), None
        if not decoder.finish():
            raise BitstreamError("the stream is damaged: it does not end with the last symbol")

    def _decode_excess(self, count: int) -> np.ndarray:
        """Returns the values of `count` escapes, int64 [count], none of them 0."""
        headers = self._decode(np.full(count, len(self._tables))).astype(np.int64)
        lengths, negative = headers // 2, headers % 2 == 1
        shifts = _shifts(lengths)
        bits = self._decode(np.full(len(shifts), len(self._tables) + 1))
        owners = np.repeat(np.arange(count), lengths)
        magnitudes = np.int64(1) << lengths
        np.add.at(magnitudes, owners, bits << shifts)
        return np.where(negative, -magnitudes, magnitudes)

    def _decode(self, indexes: np.ndarray) -> np.ndarray:
        """Returns positions within tables, int32 [n], for integers [n]."""
        return self._open_decoder().decode(_int32(indexes))

    def _open_decoder(self) -> PositionDecoder:
        if self._decoder is None:
            raise ValueError("the decoder is finished")
        return self._decoder


def _lookup(tables: CdfTables) -> np.ndarray:
    """Returns the model's tables and the two of escapes, int32 [total]."""
    return np.concatenate([tables.lookup, _HEADER_TABLE, _BIT_TABLE]).astype(np.int32)


def _escapes(tables: CdfTables) -> np.ndarray:
    """Returns the position of each table's escape, its last, int32 [tables]."""
    return (tables.sizes - 1).astype(np.int32)


def _shifts(lengths: np.ndarray) -> np.ndarray:
    """Returns length - 1, ..., 1, 0 for each length in turn, int64 [sum of lengths]."""
    ends = np.repeat(np.cumsum(lengths), lengths)
    return ends - 1 - np.arange(len(ends))


def _channel_indexes(tables: CdfTables, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the position along the last axis, int32 of `shape`."""
    if len(shape) == 0 or shape[-1] != len(tables):
        raise ValueError(f"the last axis must be {len(tables)} long, found shape {tuple(shape)}")
    return np.broadcast_to(np.arange(len(tables), dtype=np.int32), shape)


def _checked_symbols(symbols: np.ndarray) -> np.ndarray:
    """Returns the symbols as int32, once they are known to be integers that it holds."""
    symbols = np.asarray(symbols)
    if symbols.dtype.kind not in "iu":
        raise ValueError(f"symbols must be integers, found {symbols.dtype}")
    if symbols.size and (symbols.max() > MAX_SYMBOL or symbols.min() < -MAX_SYMBOL):
        raise ValueError(
            f"symbols must lie within ±{MAX_SYMBOL}, found {symbols.min()} to {symbols.max()}"
        )
    return symbols.astype(np.int32, copy=False)


def _checked_indexes(tables: CdfTables, indexes: np.ndarray) -> np.ndarray:
    """Returns the indexes as int32, once they are known to be those of tables."""
    indexes = np.asarray(indexes)
    if indexes.dtype.kind not in "iu":
        raise ValueError(f"indexes must be integers, found {indexes.dtype}")
    if indexes.size and (indexes.min() < 0 or indexes.max() >= len(tables)):
        raise ValueError(
            f"indexes must be from 0 to {len(tables) - 1}, found {indexes.min()} to {indexes.max()}"
        )
    return indexes.astype(np.int32, copy=False)


def _int32(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.int32)
