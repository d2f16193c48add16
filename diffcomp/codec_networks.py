"""What a codec computes in floats: pictures at once, or in tiles if they are large.

Another machine may round otherwise. What must be exact is in `coding`.
"""

import functools
import math
import threading
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jax import Array

from diffcomp import codec_programs, refinement, tiled_programs
from diffcomp.coding import range_coder
from diffcomp.coding.flat_areas import FlatAreas
from diffcomp.coding.grid import Y_STRIDE, Z_STRIDE, positions, whole_blocks
from diffcomp.coding.latent_coder import STEP_BITS
from diffcomp.coding.quality import DEFAULT_QUALITY, ONE_RATE_CODE, code_to_quality
from diffcomp.decode_settings import DecodeSettings
from diffcomp.export.exported_model import ExportedModel
from diffcomp.params import Params, under
from diffcomp.tiling import Progress

# Threads that code pictures at once take turns here: two programs on one device only get in each
# other's way. Entropy coding, reading and writing go on meanwhile.
_networks = threading.Lock()
BATCH_PIXELS = 2**23  # of the pictures that go through the networks at once


class CodecNetworks:
    """The networks of one exported model."""

    def __init__(self, model: ExportedModel):
        self.model = model
        self._architecture = model.architecture

    @functools.cached_property
    def encode_params(self) -> Params:
        return self._on_device(self._architecture.encode_params)

    @functools.cached_property
    def decode_params(self) -> Params:
        return self._on_device(self._architecture.decode_params)

    @functools.cached_property
    def _all_params(self) -> Params:
        return jax.device_put(self.model.params)

    def _on_device(self, prefixes: tuple[str, ...]) -> Params:
        """The parameters under the prefixes, moved there once: who only decodes needs half."""
        weights = self.model.weights.items()
        # All at once, and not by `jnp.asarray`, which compiles a program for every shape.
        return jax.device_put({path: value for path, value in weights if under(path, prefixes)})

    def encode(
        self, image: np.ndarray, code: int, progress: Progress | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """uint8 [H, W, 3] -> y float32 [ceil(H/16), ceil(W/16), C], z [ceil(H/64), ceil(W/64), D].

        The float part of coding: another machine may round otherwise.
        """
        height, width = image.shape[:2]
        quality = _network_quality(code)
        with _networks:
            if self.in_tiles(height, width):
                y, z = self._encode_tiles(image, code, quality, progress)
            else:
                latents = self._encode_whole(_pad(image, *self.padded_size(height, width)), quality)
                range_coder.implementation()  # is imported while JAX computes
                y, z = map(np.asarray, latents)
        return _cropped(y, z, height, width)

    @property
    def in_batches(self) -> bool:
        """Whether several pictures at once are quicker than one by one: on a CPU they are not."""
        return jax.default_backend() != "cpu"

    def encode_many(
        self, images: Sequence[np.ndarray], code: int
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(index, y, z) of each image, as `encode` has them, in no order.

        Those that are padded to one size go through the networks together, so many at once as
        have `BATCH_PIXELS`; the last ones of a size in halves of that, so that few programs serve.
        """
        by_size: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            size = image.shape[:2]
            if not self.in_batches or self.in_tiles(*size):
                yield index, *self.encode(image, code)
            else:
                by_size.setdefault(self.padded_size(*size), []).append(index)
        for size, indices in by_size.items():
            for batch in _batches(indices, max(1, BATCH_PIXELS // math.prod(size))):
                padded = np.stack([_pad(images[index], *size) for index in batch])
                with _networks:
                    latents = self._encode_batch(padded, _network_quality(code))
                for index, y, z in zip(batch, *map(np.asarray, latents), strict=True):
                    yield index, *_cropped(y, z, *images[index].shape[:2])

    def _encode_batch(self, images: np.ndarray, quality: float) -> tuple[Array, Array]:
        return codec_programs.encode_batch(self.model.config, self.encode_params, images, quality)

    def _encode_whole(self, image: np.ndarray, quality: float) -> tuple[Array, Array]:
        return codec_programs.encode_latents(self.model.config, self.encode_params, image, quality)

    def _encode_tiles(
        self, image: np.ndarray, code: int, quality: float, progress: Progress | None
    ) -> tuple[np.ndarray, np.ndarray]:
        coder = self.model.coder
        channels = len(coder.steps(code)), len(coder.z_tables)
        common = self.model.config, self.encode_params
        return tiled_programs.encode_latents(*common, image, quality, channels, progress)

    def check_effort(self, effort: int) -> None:
        """Raises ValueError, ImportError for an effort that `refine` does not take."""
        refinement.check_effort(effort, self._architecture.one_rate)

    def refine(
        self,
        image: np.ndarray,
        areas: FlatAreas | None,
        y: np.ndarray,
        z: np.ndarray,
        code: int,
        effort: int,
    ) -> np.ndarray:
        """y after `refinement.refine`, of the same shape; the file states `areas` beside it."""
        height, width = (Z_STRIDE * side for side in z.shape[:2])
        stated = np.zeros((height, width), bool)
        if areas is not None:
            stated[: image.shape[0], : image.shape[1]] = areas.mask(*image.shape[:2])
        padded = _pad(y, height // Y_STRIDE, width // Y_STRIDE)
        step = (self.model.coder.steps(code) * 2.0**-STEP_BITS).astype(np.float32)
        with _networks:
            refined = refinement.refine(
                self.model.config,
                self._all_params,
                _pad(image, height, width),
                stated,
                padded,
                z,
                step,
                _network_quality(code),
                effort,
            )
        return refined[: y.shape[0], : y.shape[1]]

    def synthesize(
        self,
        y_hat: np.ndarray,
        size: tuple[int, int],
        quality: float,
        settings: DecodeSettings,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """y_hat [ceil(H/16), ceil(W/16), C] and size (H, W) -> uint8 [H, W, 3].

        `settings` have no None; see `DecodeSettings.filled`.
        """
        with _networks:
            if self.in_tiles(*size):
                return self._synthesize_tiles(y_hat, size, quality, settings, progress)
            sides = (side // Y_STRIDE for side in self.padded_size(*size))
            x_hat = self._synthesize_whole(_pad(y_hat, *sides), quality, settings)
        return x_hat[: size[0], : size[1]]

    def _synthesize_whole(
        self, y_hat: np.ndarray, quality: float, settings: DecodeSettings
    ) -> np.ndarray:
        common = self.model.config, self.decode_params
        return codec_programs.synthesize(*common, y_hat, quality, settings)

    def _synthesize_tiles(
        self,
        y_hat: np.ndarray,
        size: tuple[int, int],
        quality: float,
        settings: DecodeSettings,
        progress: Progress | None,
    ) -> np.ndarray:
        common = self.model.config, self.decode_params
        return tiled_programs.synthesize(*common, y_hat, size, quality, settings, progress)

    def estimate_bits(self, image: np.ndarray, code: int) -> float:
        """Bits that the float model expects of uint8 [H, W, 3], padded to multiples of 64."""
        padded = _pad(image, *map(whole_blocks, image.shape[:2]))
        quality = _network_quality(code)
        return codec_programs.estimate_bits(self.model.config, self.model.params, padded, quality)

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """What an image's sides are padded to: sizes that share both share compiled programs."""
        return self._architecture.padded_side(height), self._architecture.padded_side(width)

    def in_tiles(self, height: int, width: int) -> bool:
        """Whether a picture is too large to be computed at once; ValueError if it is too large."""
        whole = math.prod(self.padded_size(height, width))
        if whole <= self._architecture.whole_pixels:
            return False
        if not self._architecture.in_tiles:
            raise ValueError(
                f"the image is too large for model {self.model.name!r}, which computes it at once:"
                f" {width} x {height}, padded to {whole} pixels; at most"
                f" {self._architecture.whole_pixels} are supported."
            )
        return True


def _network_quality(code: int) -> float:
    """What the networks are told; those of one rate do not listen."""
    return DEFAULT_QUALITY if code == ONE_RATE_CODE else code_to_quality(code)


def _cropped(
    y: np.ndarray, z: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of y and z what an image of this size has."""
    y = y[: positions(height, Y_STRIDE), : positions(width, Y_STRIDE)]
    return y, z[: positions(height, Z_STRIDE), : positions(width, Z_STRIDE)]


def _batches(indices: list[int], largest: int) -> Iterator[list[int]]:
    """The indices in batches whose sizes are powers of two, at most `largest`."""
    while indices:
        size = 2 ** (min(len(indices), largest).bit_length() - 1)
        yield indices[:size]
        indices = indices[size:]


def _pad(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """Repeats the last row and column: [h, w, C] -> [height, width, C]."""
    margins = ((0, height - array.shape[0]), (0, width - array.shape[1]), (0, 0))
    return np.pad(array, margins, mode="edge")
