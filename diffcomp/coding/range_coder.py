"""Codes integers into bytes with the tables of `cdf_tables` and TensorFlow Compression's ops.

The ops read the layout of `CdfTables.lookup`; which table codes a symbol is said by its index. A
symbol outside of its table is coded as the table's escape. Its excess e (1, 2, ... above the last
symbol, -1, -2, ... below the first) follows after all symbols of the same call, in two parts:

    1. for every escape, floor(log2 |e|) and the sign of e, uniform over 64 values;
    2. for every escape, the floor(log2 |e|) bits of |e| below its leading one, highest first.

The ops have an escape of their own, an Elias gamma code switched on by a negative precision. It is
not used because its decoder counts zero bits without a limit: an empty or zeroed stream hangs it
for good. With positive precisions every stream decodes to something, in a time bounded by the
number of symbols asked for.
"""

import contextlib
import os
from functools import cache
from types import ModuleType
from typing import NamedTuple

import numpy as np

from diffcomp.coding.bitstream import BitstreamError
from diffcomp.coding.cdf_tables import ESCAPE_HEADER_BITS, MAX_SYMBOL, CdfTables, escape_excess

# Two tables that follow the model's own, precision first: escape headers, and single bits.
_HEADER_TABLE = np.append(ESCAPE_HEADER_BITS, np.arange(2**ESCAPE_HEADER_BITS + 1))
_BIT_TABLE = np.array([1, 0, 1, 2])


class _TensorFlow(NamedTuple):
    """The two modules used, loaded."""

    tf: ModuleType
    ops: ModuleType


@cache
def _tensorflow() -> _TensorFlow:
    """Imports TensorFlow: late, since it takes seconds; silent; and without touching GPUs."""
    # Without this the import writes a dozen lines on CUDA and oneDNN to stderr. It is set, not
    # defaulted, since JAX has put a lower level there when it was imported first.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(f"coding needs TensorFlow 2.17, for its range coder: {error}") from error

    # The ops run on the CPU, and TensorFlow would reserve the memory of accelerators JAX uses.
    # A host program that has already started TensorFlow has made its own choice: RuntimeError.
    with contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices([], "GPU")
    try:
        import tensorflow_compression_ops as ops
    except ImportError as error:
        raise ImportError(
            "coding needs tensorflow-compression-ops, of which wheels exist for Linux on x86-64"
            f" only: {error}"
        ) from error

    return _TensorFlow(tf, ops)


class RangeEncoder:
    """Writes symbols into one stream. Calls may follow one another until `finish`."""

    def __init__(self, tables: CdfTables) -> None:
        self._tables = tables
        self._handle = _tensorflow().ops.create_range_encoder([], _lookup(tables))

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
        symbols = _checked_symbols(symbols)
        indexes = _checked_indexes(self._tables, indexes)
        if symbols.shape != indexes.shape:
            raise ValueError(
                f"symbols and indexes must agree in shape: {symbols.shape}, {indexes.shape}"
            )
        symbols, indexes = symbols.ravel(), indexes.ravel()
        excess = escape_excess(self._tables, symbols, indexes)
        positions = np.where(
            excess == 0,
            symbols - self._tables.offsets[indexes],
            self._tables.sizes[indexes] - 1,
        )
        self._encode(positions, indexes)
        self._encode_excess(excess[excess != 0])

    def finish(self) -> bytes:
        """Returns the stream. The encoder cannot be used afterwards."""
        handle, self._handle = self._open_handle(), None
        return _tensorflow().ops.entropy_encode_finalize(handle).numpy()

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
        handle = self._open_handle()
        if len(positions) > 0:
            self._handle = _tensorflow().ops.entropy_encode_index(
                handle, indexes.astype(np.int32), positions.astype(np.int32)
            )

    def _open_handle(self) -> object:
        if self._handle is None:
            raise ValueError("the encoder is finished")
        return self._handle


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
        tensorflow = _tensorflow()
        self._handle = tensorflow.ops.create_range_decoder(
            tensorflow.tf.constant(data), _lookup(tables)
        )

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
        shape, indexes = np.shape(indexes), _checked_indexes(self._tables, indexes).ravel()
        positions = self._decode(indexes)
        last = self._tables.sizes[indexes] - 1
        escaped = positions == last
        excess = self._decode_excess(np.count_nonzero(escaped))
        positions[escaped] = np.where(excess < 0, excess, excess + last[escaped] - 1)
        symbols = positions + self._tables.offsets[indexes]
        if np.any(np.abs(symbols) > MAX_SYMBOL):
            largest = symbols[np.argmax(np.abs(symbols))]
            raise BitstreamError(f"the stream is damaged: symbol {largest} is beyond ±{MAX_SYMBOL}")
        return symbols.astype(np.int32).reshape(shape)

    def finish(self) -> None:
        """Ends decoding. The decoder cannot be used afterwards.

        Raises:
          BitstreamError: if the stream was not read to its end, or the state is otherwise not one
            in which an encoder stops. It says nothing about a stream that was read too far.
        """
        handle, self._handle = self._open_handle(), None
        if not _tensorflow().ops.entropy_decode_finalize(handle).numpy():
            raise BitstreamError("the stream is damaged: it does not end with the last symbol")

    def _decode_excess(self, count: int) -> np.ndarray:
        """Returns the values of `count` escapes, int64 [count], none of them 0."""
        headers = self._decode(np.full(count, len(self._tables)))
        lengths, negative = headers // 2, headers % 2 == 1
        shifts = _shifts(lengths)
        bits = self._decode(np.full(len(shifts), len(self._tables) + 1))
        owners = np.repeat(np.arange(count), lengths)
        magnitudes = np.int64(1) << lengths
        np.add.at(magnitudes, owners, bits << shifts)
        return np.where(negative, -magnitudes, magnitudes)

    def _decode(self, indexes: np.ndarray) -> np.ndarray:
        """Returns positions within tables, int64 [n], for integers [n]."""
        handle = self._open_handle()
        if len(indexes) == 0:
            return np.zeros(0, np.int64)
        tensorflow = _tensorflow()
        self._handle, positions = tensorflow.ops.entropy_decode_index(
            handle, indexes.astype(np.int32), indexes.shape, tensorflow.tf.int32
        )
        return positions.numpy().astype(np.int64)

    def _open_handle(self) -> object:
        if self._handle is None:
            raise ValueError("the decoder is finished")
        return self._handle


def _lookup(tables: CdfTables) -> np.ndarray:
    """Returns the model's tables and the two of escapes, int32 [total]."""
    return np.concatenate([tables.lookup, _HEADER_TABLE, _BIT_TABLE]).astype(np.int32)


def _shifts(lengths: np.ndarray) -> np.ndarray:
    """Returns length - 1, ..., 1, 0 for each length in turn, int64 [sum of lengths]."""
    ends = np.repeat(np.cumsum(lengths), lengths)
    return ends - 1 - np.arange(len(ends))


def _channel_indexes(tables: CdfTables, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the position along the last axis, int64 of `shape`."""
    if len(shape) == 0 or shape[-1] != len(tables):
        raise ValueError(f"the last axis must be {len(tables)} long, found shape {tuple(shape)}")
    return np.broadcast_to(np.arange(len(tables)), shape)


def _checked_symbols(symbols: np.ndarray) -> np.ndarray:
    symbols = np.asarray(symbols)
    if symbols.dtype.kind not in "iu":
        raise ValueError(f"symbols must be integers, found {symbols.dtype}")
    if symbols.size and (symbols.max() > MAX_SYMBOL or symbols.min() < -MAX_SYMBOL):
        raise ValueError(
            f"symbols must lie within ±{MAX_SYMBOL}, found {symbols.min()} to {symbols.max()}"
        )
    return symbols.astype(np.int64)


def _checked_indexes(tables: CdfTables, indexes: np.ndarray) -> np.ndarray:
    indexes = np.asarray(indexes)
    if indexes.dtype.kind not in "iu":
        raise ValueError(f"indexes must be integers, found {indexes.dtype}")
    if indexes.size and (indexes.min() < 0 or indexes.max() >= len(tables)):
        raise ValueError(
            f"indexes must be from 0 to {len(tables) - 1}, found {indexes.min()} to {indexes.max()}"
        )
    return indexes
