"""Latents to streams of bits and back, without a float that could differ between machines.

Encoder and decoder run the same function, `LatentCoder._code_y`: it computes mean and table index
of each position of y in integers, pass by pass, and hands them to a callback that writes symbols
(encoder) or reads them (decoder). How the passes go is the architecture's: two over a checkerboard
in the base model (`CheckerboardCoder`), one in the published model (`cdc_latent_coder`).
Three fixed-point units are used:

    y, mean, step   1 / 2**STEP_BITS of a unit of y
    scales          1 / 2**PARAMETER_BITS, of an octave in the base model
    activations     1 / 2**ACTIVATION_BITS
"""

import abc
import dataclasses
import hashlib
import zlib
from collections.abc import Callable, Mapping
from typing import ClassVar, Self

import numpy as np

from diffcomp.coding import entropy_parameters
from diffcomp.coding.bitstream import BitstreamError
from diffcomp.coding.cdf_tables import CdfTables
from diffcomp.coding.fixed_point import (
    ACTIVATION_BITS,
    LARGEST_ACTIVATION,
    PARAMETER_BITS,
    FixedPointLayers,
    round_shift,
)
from diffcomp.coding.quality import CODES
from diffcomp.coding.range_coder import RangeDecoder, RangeEncoder

STEP_BITS = 24
Z_PER_Y = 4  # positions of y per position of z, along each side
LARGEST_SYMBOL = 2**20  # symbols are clipped to +- this: far outside what any image gives

# (mean int64 [n, C], indexes int32 [n, C], mask bool [h, w]) -> symbols int32 [n, C]
Transfer = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


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
        """Quantisation step of each channel of y, int64 [C]."""

    @abc.abstractmethod
    def _code_y(
        self, z_symbols: np.ndarray, shape: tuple[int, int], code: int, transfer: Transfer
    ) -> tuple[np.ndarray, int]:
        """All passes; returns y_hat float32 [*shape, C] and the CRC-32 over all symbols."""

    def encode(self, y: np.ndarray, z: np.ndarray, quality_code: int) -> Streams:
        """Float y [h, w, C] and z [ceil(h/4), ceil(w/4), D] -> streams.

        Raises ValueError when y or z is not finite.
        """
        if not (np.isfinite(y).all() and np.isfinite(z).all()):
            raise ValueError("y or z is not finite; the image or the weights must be corrupt.")
        z_symbols = self.z_symbols(z)
        z_encoder, y_encoder = RangeEncoder(self.z_tables), RangeEncoder(self.y_tables)
        z_encoder.encode_channel(z_symbols)
        step = self.steps(quality_code)

        def write(mean: np.ndarray, indexes: np.ndarray, mask: np.ndarray) -> np.ndarray:
            symbols = to_symbols((np.float64(y[mask]) * 2.0**STEP_BITS - mean) / step)
            y_encoder.encode_index(symbols, indexes)
            return symbols

        _, crc = self._code_y(z_symbols, y.shape[:2], quality_code, write)
        return Streams(z_encoder.finish(), y_encoder.finish(), crc)

    def decode(self, streams: Streams, shape: tuple[int, int], quality_code: int) -> np.ndarray:
        """Streams -> y_hat float32 [*shape, C], bit for bit the encoder's on every machine.

        Raises BitstreamError when the streams hold other symbols than were written.
        """
        z_shape = (*(-(-side // Z_PER_Y) for side in shape), len(self.z_tables))
        z_decoder = RangeDecoder(self.z_tables, streams.z_stream)
        z_symbols = z_decoder.decode_channel(z_shape)
        z_decoder.finish()
        y_decoder = RangeDecoder(self.y_tables, streams.y_stream)

        def read(mean: np.ndarray, indexes: np.ndarray, mask: np.ndarray) -> np.ndarray:
            return y_decoder.decode_index(indexes)

        y_hat, crc = self._code_y(z_symbols, shape, quality_code, read)
        y_decoder.finish()
        if crc != streams.symbols_crc:
            raise BitstreamError(
                f"the decoded symbols have CRC-32 {crc:08x}, the encoder's had"
                f" {streams.symbols_crc:08x}: the file was not decoded as it was written."
            )
        return y_hat

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
        """Inverse of `to_arrays`; raises KeyError for a missing array."""
        layers = {
            k.removeprefix("layers."): v for k, v in arrays.items() if k.startswith("layers.")
        }
        values = {"layers": FixedPointLayers.from_arrays(layers, cls.slope)}
        for field in dataclasses.fields(cls):
            if field.name.endswith("_tables"):
                parts = (arrays[f"{field.name}.{part}"] for part in ("lookup", "offsets"))
                values[field.name] = CdfTables(*parts)
            elif field.name != "layers":
                values[field.name] = arrays[field.name]
        return cls(**values)


@dataclasses.dataclass(frozen=True, eq=False)
class CheckerboardCoder(LatentCoder):
    """The base model's: means and scales in two passes, steps by quality."""

    step: np.ndarray  # int64 [CODES, C], quantisation step by quality code
    log2_step: np.ndarray  # int64 [CODES, C]

    slope: ClassVar[float] = entropy_parameters.SLOPE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step.shape[0] != CODES or self.step.shape != self.log2_step.shape:
            raise ValueError(
                f"step is {self.step.shape} and log2_step {self.log2_step.shape};"
                f" both must have {CODES} rows and as many columns as y has channels."
            )

    def z_symbols(self, z: np.ndarray) -> np.ndarray:
        return to_symbols(z)

    def steps(self, quality_code: int) -> np.ndarray:
        return self.step[quality_code]

    def _code_y(
        self, z_symbols: np.ndarray, shape: tuple[int, int], code: int, transfer: Transfer
    ) -> tuple[np.ndarray, int]:
        height, width = shape
        channels = self.step.shape[1]
        crc = zlib.crc32(little_endian(z_symbols))
        y_hat = np.zeros((1, height, width, channels), np.int64)
        z_hat = np.clip(z_symbols[None], -LARGEST_ACTIVATION, LARGEST_ACTIVATION).astype(np.float64)
        f = entropy_parameters.features(self.layers, z_hat)[:, :height, :width]
        parameters = entropy_parameters.first_pass(self.layers, f)

        even = entropy_parameters.anchor_mask(height, width)[0, :, :, 0]
        for mask in (even, ~even):
            mean, log2_scale = np.split(parameters[0][mask].astype(np.int64), 2, axis=-1)
            mean = mean << (STEP_BITS - PARAMETER_BITS)
            log2_scale = log2_scale - self.log2_step[code]
            indexes = np.searchsorted(self.scale_thresholds, log2_scale).astype(np.int32)
            symbols = transfer(mean, indexes, mask)
            y_hat[0][mask] = mean + self.step[code] * symbols
            crc = zlib.crc32(little_endian(symbols), zlib.crc32(little_endian(indexes), crc))
            if mask is even:
                anchors = _activation(y_hat)
                parameters = entropy_parameters.second_pass(self.layers, f, parameters, anchors)
        return (y_hat[0] * 2.0**-STEP_BITS).astype(np.float32), crc


def to_symbols(value: np.ndarray) -> np.ndarray:
    """The nearest integers, int32, at most LARGEST_SYMBOL in magnitude."""
    return np.clip(np.rint(value), -LARGEST_SYMBOL, LARGEST_SYMBOL).astype(np.int32)


def little_endian(array: np.ndarray) -> bytes:
    """The bytes of which the CRC-32 is taken."""
    return np.ascontiguousarray(array, "<i4").tobytes()


def _activation(y_hat: np.ndarray) -> np.ndarray:
    """y_hat in units of 2**-STEP_BITS -> what the context network reads."""
    limit = entropy_parameters.ANCHOR_LIMIT * 2.0**ACTIVATION_BITS
    return np.clip(
        round_shift(y_hat.astype(np.float64), STEP_BITS - ACTIVATION_BITS), -limit, limit
    )
