"""Image to bytes and back: `compress` and `decompress` are mirror images, step for step.

compress:    0 find areas of one colour   1 pad   2 analysis   3 code z, y, areas   4 pack
decompress:  4 unpack   3 decode z, y, areas   2 context and diffusion   1 crop   0 paint the areas
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffcomp import compilation_cache
from diffcomp.codec_inputs import as_bytes, as_pixels
from diffcomp.codec_networks import CodecNetworks
from diffcomp.coding import bitstream
from diffcomp.coding.bitstream import BitstreamError, Container
from diffcomp.coding.file_info import FileInfo, describe
from diffcomp.coding.flat_areas import (
    FlatAreas,
    find_flat_areas,
    pack_flat_areas,
    paint,
    unpack_flat_areas,
)
from diffcomp.coding.grid import Y_STRIDE, positions
from diffcomp.coding.latent_coder import Streams
from diffcomp.coding.quality import DEFAULT_QUALITY, ONE_RATE_CODE, quality_to_code
from diffcomp.decode_settings import DecodeSettings
from diffcomp.export import exported_model
from diffcomp.export.exported_model import ExportedModel
from diffcomp.export.shipped_models import DEFAULT_MODEL, model_folder
from diffcomp.tiling import Progress

log = logging.getLogger(__name__)

_GREY = 128


class Content(NamedTuple):
    """What a file holds, decoded: the exact part, of which every machine gets the same bits."""

    y_hat: np.ndarray  # float32 [ceil(H/16), ceil(W/16), C]
    flat_areas: FlatAreas | None
    info: FileInfo


class Codec:
    """Compresses and decompresses with one exported model; see `load`.

    networks: what computes the float part, if not the model's own networks.
    """

    def __init__(self, model: ExportedModel, networks: CodecNetworks | None = None):
        self._architecture = model.architecture
        self._fingerprint = model.coder.fingerprint
        self.model = model
        self.networks = networks or CodecNetworks(model)  # the float part

    @property
    def one_rate(self) -> bool:
        """Whether the model has a single rate, hence neither quality nor realism."""
        return self._architecture.one_rate

    def compress(
        self,
        image: Any,
        quality: float | None = None,
        *,
        effort: int = 0,
        max_pixels: int = bitstream.MAX_PIXELS,
        progress: Progress | None = None,
    ) -> bytes:
        """A picture -> the bytes of a `.dfc` file.

        image: uint8 [H, W, 3] sRGB, or a PIL image or a path; see `codec_inputs.as_pixels`.
        quality in [1, 8], DEFAULT_QUALITY if None, is kept to 1/32; a model of one rate takes None
        only. effort: from 0 to 9; above 0 the latents are fitted to the very picture, which takes
        some hundred times as long and saves bytes (see `refinement`). Pictures of more than
        `max_pixels` are refused. `progress` is told, in large pictures, of tiles done and of tiles
        in all.

        Raises ValueError for another type, shape, quality or effort; ImportError if LPIPS, by
        which latents are fitted, is not installed.
        """
        image = as_pixels(image, max_pixels)
        height, width = image.shape[:2]
        code = self._quality_code(quality)
        self.networks.check_effort(effort)
        areas = self._flat_areas(image)
        image = _unstated(image, areas)
        y, z = self.networks.encode(image, code, progress)
        log.info("y and z are computed of %d x %d pixels", width, height)
        if effort:
            y = self.networks.refine(image, areas, y, z, code, effort)
            log.info("y is fitted to the picture, effort %d", effort)
        return self._pack(image.shape[:2], y, z, areas, code)

    def compress_batch(
        self,
        images: Sequence[Any],
        quality: float | None = None,
        *,
        max_pixels: int = bitstream.MAX_PIXELS,
    ) -> list[bytes]:
        """Pictures, of any sizes -> the bytes of a `.dfc` file each, in their order.

        On an accelerator, those that are padded to one size go through the networks together; on a
        CPU, where that saves nothing, one by one, and the bytes are those that `compress` gives.
        An accelerator may round batches otherwise than single pictures, and a file then differs in
        a few symbols; it decodes to just what was written all the same.

        images, quality, max_pixels: as `compress` has them. All pictures are in memory at once.
        Raises as `compress`, before anything is computed; of a picture with its index, images[3].
        """
        pixels = [self._checked(*each, max_pixels) for each in enumerate(images)]
        code = self._quality_code(quality)
        areas = [self._flat_areas(image) for image in pixels]
        pixels = [_unstated(*each) for each in zip(pixels, areas, strict=True)]
        files = [b""] * len(pixels)
        for index, y, z in self.networks.encode_many(pixels, code):
            files[index] = self._pack(pixels[index].shape[:2], y, z, areas[index], code)
        return files

    def _checked(self, index: int, image: Any, max_pixels: int) -> np.ndarray:
        """The pixels of images[index]; raises ValueError, with the index, where `compress` does."""
        try:
            pixels = as_pixels(image, max_pixels)
            self.networks.in_tiles(*pixels.shape[:2])
        except ValueError as error:
            raise type(error)(f"images[{index}]: {error}") from error
        return pixels

    def _flat_areas(self, image: np.ndarray) -> FlatAreas | None:
        return find_flat_areas(image) if self._architecture.flat_areas else None

    def _pack(
        self,
        size: tuple[int, int],
        y: np.ndarray,
        z: np.ndarray,
        areas: FlatAreas | None,
        code: int,
    ) -> bytes:
        streams, flat = self.model.coder.encode(y, z, code), pack_flat_areas(areas)
        sizes = len(streams.z_stream), len(streams.y_stream), len(flat)
        log.info("z takes %d bytes, y %d, areas of one colour %d", *sizes)
        return bitstream.pack(
            Container(
                fingerprint=self._fingerprint,
                width=size[1],
                height=size[0],
                quality_code=code,
                symbols_crc=streams.symbols_crc,
                z_stream=streams.z_stream,
                y_stream=streams.y_stream,
                flat_areas=flat,
            )
        )

    def decompress(
        self,
        data: bytes,
        *,
        steps: int | None = None,
        gamma: float | None = None,
        eta: float | None = None,
        realism: float | None = None,
        seed: int | None = None,
        compute_dtype: str | None = None,
        max_pixels: int = bitstream.MAX_PIXELS,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """The bytes of a `.dfc` file -> uint8 [H, W, 3] sRGB.

        steps: calls of the score network, from 1. gamma: deviation of the starting noise, [0, 1].
        eta: fresh noise in each step, [0, 1]. realism: from 0 for least squared error to 1 for a
        natural look. seed: of all noise, [0, 2**32). compute_dtype: of the networks, "float32" or
        "bfloat16", for accelerators. None leaves steps and gamma to the model, eta and seed at 0,
        realism at 1, the type float32. max_pixels and progress: as in `compress`.

        Raises BitstreamError for bytes that are no intact file of this model, or of a picture that
        is too large; ValueError for a setting out of its range.
        """
        settings = DecodeSettings(steps, gamma, eta, realism, seed, compute_dtype)
        return self.decode(data, settings, max_pixels=max_pixels, progress=progress)

    def decode(
        self,
        data: bytes,
        settings: DecodeSettings,
        *,
        max_pixels: int = bitstream.MAX_PIXELS,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """The same, of settings that are kept together; raises as `decompress`."""
        self.decode_settings(settings)  # before any work
        content = self.read(as_bytes(data), max_pixels)
        log.info("y_hat is decoded, %d x %d positions", *content.y_hat.shape[1::-1])
        return self.draw(content, settings, progress)

    def draw(
        self, content: Content, settings: DecodeSettings, progress: Progress | None = None
    ) -> np.ndarray:
        """What `read` gives -> uint8 [H, W, 3] sRGB; raises ValueError as `decompress`.

        The float part of decoding, of which several settings share the exact part.
        """
        settings = self.decode_settings(settings)
        info = content.info
        quality = DEFAULT_QUALITY if info.quality is None else info.quality
        size = info.height, info.width
        x_hat = self.networks.synthesize(content.y_hat, size, quality, settings, progress)
        if content.flat_areas is not None:
            paint(x_hat, content.flat_areas)
        log.info("the picture is synthesised in %d steps", settings.steps)
        return x_hat

    def read(self, data: bytes, max_pixels: int = bitstream.MAX_PIXELS) -> Content:
        """The bytes of a `.dfc` file -> its content; raises BitstreamError."""
        container = bitstream.unpack(data, max_pixels)
        bitstream.check_fingerprint(container, self._fingerprint, self.model.name)
        info = describe(container)
        if (info.quality is None) != self.one_rate:
            raise BitstreamError(
                f"the header has quality code {container.quality_code}, which is not one of model"
                f" {self.model.name!r}."
            )
        try:
            self.networks.in_tiles(info.height, info.width)
        except ValueError as error:  # before anything is allocated
            raise BitstreamError(error) from error
        shape = positions(info.height, Y_STRIDE), positions(info.width, Y_STRIDE)
        streams = Streams(container.z_stream, container.y_stream, container.symbols_crc)
        y_hat = self.model.coder.decode(streams, shape, container.quality_code)
        areas = unpack_flat_areas(container.flat_areas, info.height, info.width)
        if areas is not None and not self._architecture.flat_areas:
            raise BitstreamError(f"files of model {self.model.name!r} state no areas.")
        return Content(y_hat, areas, info)

    def decode_settings(self, settings: DecodeSettings) -> DecodeSettings:
        """The settings with this model's defaults in place of None; ValueError as `decompress`."""
        if self.one_rate and settings.realism is not None:
            raise ValueError(f"model {self.model.name!r} has no realism knob.")
        return settings.filled(self.model.decode)

    def bpp_estimate(self, image: Any, quality: float | None = None) -> float:
        """Bits per pixel that the float model expects of the image, padded to multiples of 64.

        No file comes out, and none is this size exactly: `compress` has a header, finite tables
        and integer arithmetic, and states areas of one colour.
        """
        image = as_pixels(image)
        height, width = image.shape[:2]
        bits = self.networks.estimate_bits(image, self._quality_code(quality))
        return bits / (height * width)

    def _quality_code(self, quality: float | None) -> int:
        if not self.one_rate:
            return quality_to_code(DEFAULT_QUALITY if quality is None else quality)
        if quality is not None:
            raise ValueError(
                f"quality is {quality}, but model {self.model.name!r} has one rate and takes none."
            )
        return ONE_RATE_CODE


def _unstated(image: np.ndarray, areas: FlatAreas | None) -> np.ndarray:
    """What the latents are to say: the picture, or plain grey if the areas are all of it.

    Latents are of no use then, and grey is what takes the fewest bytes.
    """
    if areas is None or not areas.numbers.all():
        return image
    return np.full_like(image, _GREY)


def load(model: str | Path = DEFAULT_MODEL) -> Codec:
    """A codec from a shipped model's name or the folder of an exported one.

    Also turns on JAX's persistent compilation cache, unless the program has set one already.
    Raises ModelError if there is no readable model.
    """
    compilation_cache.enable()
    loaded = exported_model.load(model_folder(model))
    log.info("model %s is loaded", loaded.name)
    return Codec(loaded)
