"""Image to bytes and back: `compress` and `decompress` are mirror images, step for step.

compress:    1 pad   2 analysis   3 code z, then y   4 pack
decompress:  4 unpack   3 decode z, then y   2 context and diffusion   1 crop
"""

import dataclasses
import functools
import json
import math
import numbers
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffcomp import bitstream, compilation_cache, exported_model, sampler
from diffcomp.bitstream import BitstreamError, Container
from diffcomp.config import ModelConfig
from diffcomp.exported_model import ExportedModel
from diffcomp.latent_coder import Streams
from diffcomp.model import CompressionModel, FlatParams, variables_of
from diffcomp.noise_schedule import cosine_grid
from diffcomp.pixels import to_float, to_uint8
from diffcomp.quality import CODES, DEFAULT_QUALITY, code_to_quality, quality_to_code
from diffcomp.transforms import Y_STRIDE, Z_STRIDE

MODELS = Path(__file__).parent / "models"
DEFAULT_MODEL = "base"
BUCKETS_PER_OCTAVE = 8
MAX_STEPS = 1000


class DecodeSettings(NamedTuple):
    """What the same bits can be decoded to.

    The defaults gave the shipped model's least LPIPS on photographs that it was not trained on,
    among 1, 2, 3, 4 and 8 steps and gamma of 0 to 0.7.
    """

    steps: int = 2  # calls of the score network
    gamma: float = 0.0  # deviation of the starting noise, [0, 1]; 0 is deterministic
    eta: float = 0.0  # fresh noise in each step, [0, 1]
    realism: float = 1.0  # 0 for least squared error, 1 for the most natural look
    seed: int = 0  # of all noise; without effect if gamma and eta are 0


@dataclasses.dataclass(frozen=True)
class FileInfo:
    """What a `.dfc` file says of itself."""

    width: int
    height: int
    quality: float
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
        self.model = model
        self._fingerprint = model.coder.fingerprint
        self._params = {path: jnp.asarray(value) for path, value in model.params.items()}

    def compress(self, image: np.ndarray, quality: float = DEFAULT_QUALITY) -> bytes:
        """uint8 [H, W, 3] sRGB -> the bytes of a `.dfc` file.

        quality in [1, 8] is kept to 1/32. Raises ValueError for another type, shape or quality.
        """
        height, width = _check_image(image)
        code = quality_to_code(quality)
        padded = _pad(image, bucket(height), bucket(width))
        y, z = encode_latents(self.model.config, self._params, padded, code_to_quality(code))
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

    def bpp_estimate(self, image: np.ndarray, quality: float = DEFAULT_QUALITY) -> float:
        """Bits per pixel that the float model expects of the image, padded to multiples of 64.

        No file comes out, and none is this size exactly: `compress` has a header, finite tables
        and integer arithmetic.
        """
        height, width = _check_image(image)
        padded = _pad(image, *(Z_STRIDE * n for n in _grid(height, width, Z_STRIDE)))
        bits = _estimate(self.model.config, self._params, padded, jnp.float32(quality))
        return float(bits) / (height * width)

    def decompress(self, data: bytes, **settings: float) -> np.ndarray:
        """The bytes of a `.dfc` file -> uint8 [H, W, 3] sRGB.

        `settings` are fields of `DecodeSettings`. Raises BitstreamError for bytes that are no
        intact file of this model, ValueError for a setting out of its range.
        """
        chosen = check_settings(DecodeSettings(**settings))
        y_hat, info = self.decode_latents(data)
        padded = _pad(y_hat, bucket(info.height) // Y_STRIDE, bucket(info.width) // Y_STRIDE)
        x_hat = synthesize(self.model.config, self._params, padded, info.quality, chosen)
        return x_hat[: info.height, : info.width]

    def decode_latents(self, data: bytes) -> tuple[np.ndarray, FileInfo]:
        """The bytes of a `.dfc` file -> y_hat float32 [ceil(H/16), ceil(W/16), C], and its header.

        The exact part of decoding: every machine gets the same bits. Raises BitstreamError.
        """
        container = bitstream.unpack(data)
        bitstream.check_fingerprint(container, self._fingerprint, self.model.name)
        info = describe(container)
        shape = _grid(info.height, info.width, Y_STRIDE)
        streams = Streams(container.z_stream, container.y_stream, container.symbols_crc)
        return self.model.coder.decode(streams, shape, container.quality_code), info


def load(model: str | Path = DEFAULT_MODEL) -> Codec:
    """A codec from a shipped model's name or the folder of an exported one.

    Also turns on JAX's persistent compilation cache, unless the program has set one already.
    Raises ModelError if there is no readable model.
    """
    compilation_cache.enable()
    shipped = MODELS / str(model)
    directory = shipped if shipped.is_dir() else Path(model)
    if not directory.is_dir():
        names = ", ".join(sorted(p.parent.name for p in MODELS.glob("*/model.json"))) or "none"
        raise exported_model.ModelError(
            f"{model} is neither a folder nor a shipped model; shipped are: {names}."
        )
    return Codec(exported_model.load(directory))


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
    if container.quality_code >= CODES:
        raise BitstreamError(
            f"the header has quality code {container.quality_code}; the highest is {CODES - 1}."
        )
    return FileInfo(
        width=container.width,
        height=container.height,
        quality=code_to_quality(container.quality_code),
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


def encode_latents(
    config: ModelConfig, params: FlatParams, image: np.ndarray, quality: float
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [H, W, 3], sides multiples of 64 -> y [H/16, W/16, C], z [H/64, W/64, D]."""
    y, z = _encode(config, params, image, jnp.float32(quality))
    return np.asarray(y), np.asarray(z)


@functools.partial(jax.jit, static_argnums=0)
def _encode(
    config: ModelConfig, params: FlatParams, image: Array, quality: Array
) -> tuple[Array, Array]:
    x = to_float(image[None])
    latents = CompressionModel(config).apply(
        variables_of(params), x, quality[None], method="encode"
    )
    return latents.y[0], latents.z[0]


@functools.partial(jax.jit, static_argnums=0)
def _estimate(config: ModelConfig, params: FlatParams, image: Array, quality: Array) -> Array:
    model, variables = CompressionModel(config), variables_of(params)
    x = to_float(image[None])
    latents = model.apply(variables, x, quality[None], method="encode")
    rate = model.apply(variables, latents, quality[None], method="rate")
    return rate.bits_y[0] + rate.bits_z[0]


def synthesize(
    config: ModelConfig,
    params: FlatParams,
    y_hat: np.ndarray,
    quality: float,
    settings: DecodeSettings,
) -> np.ndarray:
    """y_hat [H/16, W/16, C], sides multiples of 4 -> uint8 [H, W, 3]: context, then diffusion."""
    knobs = (settings.gamma, settings.eta, settings.realism, quality)
    knobs = tuple(jnp.float32(knob) for knob in knobs)
    key = jax.random.key(settings.seed)
    return np.asarray(_synthesize(config, settings.steps, params, y_hat, *knobs, key))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _synthesize(
    config: ModelConfig,
    steps: int,
    params: FlatParams,
    y_hat: Array,
    gamma: Array,
    eta: Array,
    realism: Array,
    quality: Array,
    key: Array,
) -> Array:
    model, variables = CompressionModel(config), variables_of(params)
    context = model.apply(variables, y_hat[None], quality[None], method="decode_context")

    def denoise_fn(x_t: Array, t: Array) -> Array:
        args = (x_t, t[None], context, quality[None], realism[None])
        return model.apply(variables, *args, method="denoise")

    key_start, key_steps = jax.random.split(key)
    x_T = gamma * jax.random.normal(key_start, context.base.shape)
    x_hat = sampler.ddim(denoise_fn, x_T, cosine_grid(steps), eta=eta, key=key_steps)[0]
    return to_uint8(x_hat)


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
