"""Image to bytes and back: `compress` and `decompress` are mirror images, step for step.

compress:    1 pad   2 analysis   3 code z, then y   4 pack
decompress:  4 unpack   3 decode z, then y   2 context and diffusion   1 crop
"""

import dataclasses
import json
import math
import numbers
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from diffcomp import codec_programs, compilation_cache
from diffcomp.coding import bitstream
from diffcomp.coding.bitstream import BitstreamError, Container
from diffcomp.coding.latent_coder import Streams
from diffcomp.coding.quality import (
    CODES,
    DEFAULT_QUALITY,
    ONE_RATE_CODE,
    code_to_quality,
    quality_to_code,
)
from diffcomp.export import exported_model
from diffcomp.export.exported_model import ExportedModel
from diffcomp.networks.transforms import Y_STRIDE, Z_STRIDE
from diffcomp.published.config import CdcConfig

MODELS = Path(__file__).parent / "models"
DEFAULT_MODEL = "base"
BUCKETS_PER_OCTAVE = 8
MAX_STEPS = 1000


class DecodeSettings(NamedTuple):
    """What the same bits can be decoded to; each model has its own defaults of steps and gamma."""

    steps: int = 1  # calls of the score network
    gamma: float = 0.0  # deviation of the starting noise, [0, 1]; 0 is deterministic
    eta: float = 0.0  # fresh noise in each step, [0, 1]
    realism: float = 1.0  # 0 for least squared error, 1 for the most natural look
    seed: int = 0  # of all noise; without effect if gamma and eta are 0


@dataclasses.dataclass(frozen=True)
class FileInfo:
    """What a `.dfc` file says of itself."""

    width: int
    height: int
    quality: float | None  # None if the model has one rate
    fingerprint: int  # of the model that reads it
    header_bits: int
    z_bits: int
    y_bits: int

    @property
    def bpp(self) -> float:
        """Bits of the whole file per pixel."""
        return (self.header_bits + self.z_bits + self.y_bits) / (self.width * self.height)


class Codec:
    """Compresses and decompresses with one exported model; see `load`."""

    def __init__(self, model: ExportedModel):
        self._fingerprint = model.coder.fingerprint
        self._one_rate = isinstance(model.config, CdcConfig)
        self._params = {path: jnp.asarray(value) for path, value in model.params.items()}
        # With the same arrays, for a large model should not be in memory twice.
        self.model = dataclasses.replace(model, params=self._params)

    def compress(self, image: np.ndarray, quality: float | None = None) -> bytes:
        """uint8 [H, W, 3] sRGB -> the bytes of a `.dfc` file.

        quality in [1, 8], DEFAULT_QUALITY if None, is kept to 1/32; a model of one rate takes None
        only. Raises ValueError for another type, shape or quality.
        """
        height, width = _check_image(image)
        code = self._quality_code(quality)
        padded = _pad(image, self._padded_side(height), self._padded_side(width))
        y, z = codec_programs.encode_latents(
            self.model.config, self._params, padded, _network_quality(code)
        )
        y_shape, z_shape = _grid(height, width, Y_STRIDE), _grid(height, width, Z_STRIDE)
        y, z = y[: y_shape[0], : y_shape[1]], z[: z_shape[0], : z_shape[1]]
        streams = self.model.coder.encode(y, z, code)
        return bitstream.pack(
            Container(
                fingerprint=self._fingerprint,
                width=width,
                height=height,
                quality_code=code,
                symbols_crc=streams.symbols_crc,
                z_stream=streams.z_stream,
                y_stream=streams.y_stream,
            )
        )

    def bpp_estimate(self, image: np.ndarray, quality: float | None = None) -> float:
        """Bits per pixel that the float model expects of the image, padded to multiples of 64.

        No file comes out, and none is this size exactly: `compress` has a header, finite tables
        and integer arithmetic.
        """
        height, width = _check_image(image)
        padded = _pad(image, *(Z_STRIDE * n for n in _grid(height, width, Z_STRIDE)))
        quality = _network_quality(self._quality_code(quality))
        bits = codec_programs.estimate_bits(self.model.config, self._params, padded, quality)
        return bits / (height * width)

    def decompress(self, data: bytes, **settings: float) -> np.ndarray:
        """The bytes of a `.dfc` file -> uint8 [H, W, 3] sRGB.

        `settings` are fields of `DecodeSettings`. Raises BitstreamError for bytes that are no
        intact file of this model, ValueError for a setting out of its range.
        """
        chosen = self.decode_settings(**settings)
        y_hat, info = self.decode_latents(data)
        sides = (self._padded_side(side) // Y_STRIDE for side in (info.height, info.width))
        quality = DEFAULT_QUALITY if info.quality is None else info.quality
        x_hat = codec_programs.synthesize(
            self.model.config, self._params, _pad(y_hat, *sides), quality, **chosen._asdict()
        )
        return x_hat[: info.height, : info.width]

    def decode_settings(self, **settings: float) -> DecodeSettings:
        """The settings, with this model's defaults for the others; ValueError as `decompress`."""
        if self._one_rate and "realism" in settings:
            raise ValueError(f"model {self.model.name!r} has no realism knob.")
        return check_settings(DecodeSettings(**(dataclasses.asdict(self.model.decode) | settings)))

    def decode_latents(self, data: bytes) -> tuple[np.ndarray, FileInfo]:
        """The bytes of a `.dfc` file -> y_hat float32 [ceil(H/16), ceil(W/16), C], and its header.

        The exact part of decoding: every machine gets the same bits. Raises BitstreamError.
        """
        container = bitstream.unpack(data)
        bitstream.check_fingerprint(container, self._fingerprint, self.model.name)
        info = describe(container)
        if (info.quality is None) != self._one_rate:
            raise BitstreamError(
                f"the header has quality code {container.quality_code}, which is not one of model"
                f" {self.model.name!r}."
            )
        shape = _grid(info.height, info.width, Y_STRIDE)
        streams = Streams(container.z_stream, container.y_stream, container.symbols_crc)
        return self.model.coder.decode(streams, shape, container.quality_code), info

    def _quality_code(self, quality: float | None) -> int:
        if not self._one_rate:
            return quality_to_code(DEFAULT_QUALITY if quality is None else quality)
        if quality is not None:
            raise ValueError(
                f"quality is {quality}, but model {self.model.name!r} has one rate and takes none."
            )
        return ONE_RATE_CODE

    def _padded_side(self, side: int) -> int:
        """The published network sees whole images (attention), so it gets no more than it needs."""
        return -(-side // Z_STRIDE) * Z_STRIDE if self._one_rate else bucket(side)


def load(model: str | Path = DEFAULT_MODEL) -> Codec:
    """A codec from a shipped model's name or the folder of an exported one.

    Also turns on JAX's persistent compilation cache, unless the program has set one already.
    Raises ModelError if there is no readable model.
    """
    compilation_cache.enable()
    return Codec(exported_model.load(model_folder(model)))


def model_folder(model: str | Path) -> Path:
    """The folder of a shipped model's name, or of an exported model; ModelError for neither."""
    shipped = MODELS / str(model)
    directory = shipped if shipped.is_dir() else Path(model)
    if not directory.is_dir():
        names = ", ".join(sorted(p.parent.name for p in MODELS.glob("*/model.json"))) or "none"
        raise exported_model.ModelError(
            f"{model} is neither a folder nor a shipped model; shipped are: {names}."
        )
    return directory


def model_names() -> dict[int, str]:
    """Fingerprint -> name of the shipped models."""
    names = {}
    for file in MODELS.glob("*/model.json"):
        description = json.loads(file.read_text())
        names[int(description["fingerprint"], 16)] = description["name"]
    return names


def file_info(data: bytes) -> FileInfo:
    """Reads the header of a `.dfc` file; needs no model. Raises BitstreamError."""
    return describe(bitstream.unpack(data))


def describe(container: Container) -> FileInfo:
    """The header's meaning; raises BitstreamError for a quality that does not exist."""
    code = container.quality_code
    if code >= CODES and code != ONE_RATE_CODE:
        raise BitstreamError(
            f"the header has quality code {code}; the highest is {CODES - 1}, or {ONE_RATE_CODE}"
            " for a model of one rate."
        )
    return FileInfo(
        width=container.width,
        height=container.height,
        quality=None if code == ONE_RATE_CODE else code_to_quality(code),
        fingerprint=container.fingerprint,
        header_bits=8 * bitstream.HEADER_BYTES,
        z_bits=8 * len(container.z_stream),
        y_bits=8 * len(container.y_stream),
    )


def check_settings(settings: DecodeSettings) -> DecodeSettings:
    """The same settings, or ValueError naming the first that is out of range."""
    for name in ("steps", "seed"):
        value = getattr(settings, name)
        if not isinstance(value, numbers.Integral):
            raise ValueError(f"{name} is {value!r}; it must be an integer.")
    if not 1 <= settings.steps <= MAX_STEPS:
        raise ValueError(f"steps is {settings.steps}; it must be in [1, {MAX_STEPS}].")
    for name in ("gamma", "eta", "realism"):
        value = getattr(settings, name)
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; it must be in [0, 1].")
    if not 0 <= settings.seed < 2**32:
        raise ValueError(f"seed is {settings.seed}; it must be in [0, 2**32).")
    return settings


def bucket(side: int) -> int:
    """The side that is computed with: a multiple of 64 from a short list, at least `side`.

    Up to BUCKETS_PER_OCTAVE sizes between 2**n and 2**(n + 1), so that a folder of photographs
    compiles a few programs, at the price of at most 1/8 more pixels along a side.
    """
    octave = 2 ** math.floor(math.log2(side))
    granule = max(Z_STRIDE, octave // BUCKETS_PER_OCTAVE)
    return -(-side // granule) * granule


def _network_quality(code: int) -> float:
    """What the networks are told; those of one rate do not listen."""
    return DEFAULT_QUALITY if code == ONE_RATE_CODE else code_to_quality(code)


def _check_image(image: np.ndarray) -> tuple[int, int]:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = getattr(image, "dtype", type(image).__name__)
        raise ValueError(f"image is of type {found}; it must be a NumPy array of uint8.")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image has shape {image.shape}; it must be [H, W, 3].")
    bitstream.check_size(width=image.shape[1], height=image.shape[0])
    return image.shape[0], image.shape[1]


def _grid(height: int, width: int, stride: int) -> tuple[int, int]:
    return -(-height // stride), -(-width // stride)


def _pad(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """Repeats the last row and column: [h, w, C] -> [height, width, C]."""
    margins = ((0, height - array.shape[0]), (0, width - array.shape[1]), (0, 0))
    return np.pad(array, margins, mode="edge")
