"""Latents to streams of bits and back, without a float that could differ between machines.

Encoder and decoder run the same loop, `LatentCoder._code`: pass by pass it takes mean, step and
table index of some positions of y, computed in integers, hands them to an object that writes
symbols (encoder) or reads them (decoder), and fills in y_hat there, which the next pass may look
at. Which passes there are is up to the family of networks: some for each group of channels
(`grouped_coder`) or one (`single_pass_coder`). A pass comes in parts of a few rows, so that memory
does not grow with what is computed of each position. Four fixed-point units are used:

    y, mean, step   1 / 2**STEP_BITS of a unit of y
    factors         1 / 2**FACTOR_BITS, of a step
    scales          1 / 2**PARAMETER_BITS, of an octave in the base model
    activations     1 / 2**ACTIVATION_BITS, which each coder sets for itself
"""

import abc
import dataclasses
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np

from diffcomp.coding.bitstream import BitstreamError
from diffcomp.coding.cdf_tables import CdfTables
from diffcomp.coding.fixed_point import FixedPointLayers
from diffcomp.coding.grid import Z_PER_Y, positions
from diffcomp.coding.range_coder import RangeDecoder, RangeEncoder
from diffcomp.coding.stream_length import check_stream_length, least_bits_per_position

STEP_BITS = 24
FACTOR_BITS = 16
LARGEST_SYMBOL = 2**20  # symbols are clipped to +- this: far outside what any image gives


class Part(NamedTuple):
    """Some rows, columns and channels of y, [h', w', C'], and how their symbols are coded."""

    at: tuple[slice, slice, slice]  # which rows, columns and channels
    mean: np.ndarray  # int64 [h', w', C'], in units of 2**-STEP_BITS
    step: np.ndarray  # int64 [C'], likewise
    factors: np.ndarray  # int32 [h', w'], what it is multiplied by, in units of 2**-FACTOR_BITS
    indexes: np.ndarray  # int32 [h', w', C'], table of each symbol

    @property
    def steps(self) -> np.ndarray:
        """Of each element, int64 [h', w', C']."""
        return _product(self.step, self.factors[..., None])


class Transfer(Protocol):
    """What writes or reads the symbols of y, part by part and pass by pass."""

    def part(self, coded: Part) -> np.ndarray:
        """Symbols int32 [h', w', C']; those that `end_pass` corrects may be anything yet."""

    def end_pass(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each part of the pass: where in it, flattened, other symbols belong, and which."""


class _Writer:
    def __init__(self, tables: CdfTables, y: np.ndarray):
        self.encoder = RangeEncoder(tables)
        self._y = y

    def part(self, coded: Part) -> np.ndarray:
        y_fixed = np.float64(self._y[coded.at]) * 2.0**STEP_BITS
        symbols = to_symbols((y_fixed - coded.mean) / coded.steps)
        self.encoder.encode_part(symbols, coded.indexes)
        return symbols

    def end_pass(self) -> list[tuple[np.ndarray, np.ndarray]]:
        self.encoder.end_parts()
        return []


class _Reader:
    def __init__(self, tables: CdfTables, stream: bytes):
        self.decoder = RangeDecoder(tables, stream)

    def part(self, coded: Part) -> np.ndarray:
        return self.decoder.decode_part(coded.indexes)

    def end_pass(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return self.decoder.end_parts()


@dataclasses.dataclass(frozen=True)
class Streams:
    z_stream: bytes
    y_stream: bytes
    symbols_crc: int  # CRC-32 over symbols and indexes, in coding order


@dataclasses.dataclass(frozen=True, eq=False)
class LatentCoder(abc.ABC):
    """The coding part of a model: integers only. Two equal ones read each other's files."""

    layers: FixedPointLayers
    z_tables: CdfTables  # one table per channel of z
    y_tables: CdfTables  # one table per scale
    scale_thresholds: np.ndarray  # int64 [tables - 1], between the scales of the tables, ascending

    slope: ClassVar[float]  # of the leaky ReLU between the layers

    def __post_init__(self) -> None:
        if len(self.scale_thresholds) != len(self.y_tables) - 1:
            raise ValueError(
                f"{len(self.scale_thresholds)} thresholds do not part {len(self.y_tables)} tables."
            )

    @abc.abstractmethod
    def z_symbols(self, z: np.ndarray) -> np.ndarray:
        """Float z [..., D] -> the integers that stand for it, int32."""

    @abc.abstractmethod
    def steps(self, quality_code: int) -> np.ndarray:
        """Quantisation step of each channel of y before a part's factors, int64 [C]."""

    @abc.abstractmethod
    def passes(
        self, z_symbols: np.ndarray, y_hat: np.ndarray, quality_code: int
    ) -> Iterator[Iterator[Part]]:
        """The passes over y, in coding order, each in parts from the top; each element in one.

        z_symbols int32 [ceil(h/4), ceil(w/4), D]; y_hat int64 [h, w, C], in units of
        2**-STEP_BITS, holds the values of all passes before. Those of the same pass are not to be
        looked at: some are corrected when it ends.
        """

    def encode(self, y: np.ndarray, z: np.ndarray, quality_code: int) -> Streams:
        """Float y [h, w, C] and z [ceil(h/4), ceil(w/4), D] -> streams.

        Raises ValueError when y or z is not finite.
        """
        if not (np.isfinite(y).all() and np.isfinite(z).all()):
            raise ValueError("y or z is not finite; the image or the weights must be corrupt.")
        z_symbols = self.z_symbols(z)
        z_encoder = RangeEncoder(self.z_tables)
        z_encoder.encode_channel(z_symbols)
        writer = _Writer(self.y_tables, y)
        _, crc = self._code(z_symbols, y.shape[:2], quality_code, writer)
        return Streams(z_encoder.finish(), writer.encoder.finish(), crc)

    def decode(self, streams: Streams, shape: tuple[int, int], quality_code: int) -> np.ndarray:
        """Streams -> y_hat float32 [*shape, C], bit for bit the encoder's on every machine.

        Raises BitstreamError when the streams hold other symbols than were written, and, before
        anything of the shape is allocated, when they are too short for so many positions.
        """
        z_shape = positions(shape[0], Z_PER_Y), positions(shape[1], Z_PER_Y)
        z_bits = least_bits_per_position(self.z_tables, None)
        y_bits = least_bits_per_position(self.y_tables, len(self.steps(quality_code)))
        check_stream_length("z", streams.z_stream, z_shape, z_bits)
        check_stream_length("y", streams.y_stream, shape, y_bits)
        z_decoder = RangeDecoder(self.z_tables, streams.z_stream)
        z_symbols = z_decoder.decode_channel((*z_shape, len(self.z_tables)))
        z_decoder.finish()
        reader = _Reader(self.y_tables, streams.y_stream)
        y_hat, crc = self._code(z_symbols, shape, quality_code, reader)
        reader.decoder.finish()
        if crc != streams.symbols_crc:
            raise BitstreamError(
                f"the decoded symbols have CRC-32 {crc:08x}, the encoder's had"
                f" {streams.symbols_crc:08x}: the file was not decoded as it was written."
            )
        return to_units(y_hat)

    def _code(
        self, z_symbols: np.ndarray, shape: tuple[int, int], quality_code: int, transfer: Transfer
    ) -> tuple[np.ndarray, int]:
        """All passes; returns y_hat int64 [*shape, C] and the CRC-32 over all symbols.

        The order of the CRC is part of the format: z, then indexes and symbols of each pass.
        """
        y_hat = np.zeros((*shape, len(self.steps(quality_code))), np.int64)
        crc = zlib.crc32(_little_endian(z_symbols))
        for parts in self.passes(z_symbols, y_hat, quality_code):
            coded = []
            for part in parts:
                symbols = transfer.part(part)
                y_hat[part.at] = part.mean + part.steps * symbols
                crc = zlib.crc32(_little_endian(part.indexes), crc)
                coded.append((y_hat[part.at], symbols, part.step, part.factors))
            for changed, (where, values) in zip(coded, transfer.end_pass(), strict=False):
                _correct(*changed, where, values)
            for _, symbols, *_ in coded:
                crc = zlib.crc32(_little_endian(symbols), crc)
        return y_hat, crc

    @property
    def fingerprint(self) -> int:
        """uint32 that names this coder: files of one fingerprint are readable by the other."""
        digest = hashlib.sha256()
        for name, array in sorted(self.to_arrays().items()):
            digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return int.from_bytes(digest.digest()[:4], "little")

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays by name, for `np.savez`."""
        arrays = {f"layers.{k}": v for k, v in self.layers.to_arrays().items()}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, CdfTables):
                arrays |= {f"{field.name}.lookup": value.lookup}
                arrays |= {f"{field.name}.offsets": value.offsets}
            elif isinstance(value, np.ndarray):
                arrays[field.name] = value
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Inverse of `to_arrays`; raises KeyError for a missing array, ValueError for floats."""
        for name, array in arrays.items():
            if array.dtype.kind != "i":
                raise ValueError(f"{name} is of {array.dtype}; the coding part has integers only.")
        layers = {
            k.removeprefix("layers."): v for k, v in arrays.items() if k.startswith("layers.")
        }
        values: dict[str, Any] = {"layers": FixedPointLayers.from_arrays(layers, cls.slope)}
        for field in dataclasses.fields(cls):
            if field.name.endswith("_tables"):
                parts = (arrays[f"{field.name}.{part}"] for part in ("lookup", "offsets"))
                values[field.name] = CdfTables(*parts)
            elif field.name != "layers":
                values[field.name] = arrays[field.name]
        return cls(**values)


def to_symbols(value: np.ndarray) -> np.ndarray:
    """The nearest integers, int32, at most LARGEST_SYMBOL in magnitude."""
    return np.clip(np.rint(value), -LARGEST_SYMBOL, LARGEST_SYMBOL).astype(np.int32)


def to_units(y_hat: np.ndarray) -> np.ndarray:
    """int64 [h, w, C] in units of 2**-STEP_BITS -> float32 [h, w, C]."""
    values = np.empty(y_hat.shape, np.float32)
    for row, out in zip(y_hat, values, strict=True):  # row by row: no third array of this size
        out[:] = row * 2.0**-STEP_BITS
    return values


def _product(step: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Steps times factors, at least 1, in units of 2**-STEP_BITS."""
    return np.maximum(step * factors >> FACTOR_BITS, 1)


def _correct(
    y_hat: np.ndarray,
    symbols: np.ndarray,
    step: np.ndarray,
    factors: np.ndarray,
    where: np.ndarray,
    values: np.ndarray,
) -> None:
    """Puts values into a part's flattened symbols, and what they change into its view of y_hat."""
    at = np.unravel_index(where, symbols.shape)
    y_hat[at] += _product(step[at[-1]], factors[at[:-1]]) * (values - symbols[at])
    symbols[at] = values


def _little_endian(array: np.ndarray) -> bytes:
    """The bytes of which the CRC-32 is taken."""
    return np.ascontiguousarray(array, "<i4").tobytes()
