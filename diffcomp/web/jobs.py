"""What the page does with what a visitor drops: no page and no files of its own in here."""

import dataclasses
import io
import time
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from diffcomp.coding.file_info import file_info
from diffcomp.decode_settings import DecodeSettings
from diffcomp.distances.distortion import bpp, psnr
from diffcomp.files.image_file import LoadedImage, decode_image
from diffcomp.rate_search import TYPICAL_CODINGS, Target, compress_to
from diffcomp.web.equal_avif import EqualAvif, equal_avif
from diffcomp.web.pace import JobProgress

if TYPE_CHECKING:
    from diffcomp.codec import Codec

WHITE = (255, 255, 255)  # behind transparent pixels; the page says so
COMPRESSING, SEARCHING, DECODING, AVIF = "compressing", "searching", "decoding", "AVIF"


@dataclasses.dataclass(frozen=True)
class Rate:
    """What a file may take: a quality, or at most so many bytes. Neither: the model's own."""

    quality: float | None = None
    target_bytes: float | None = None

    @property
    def stages(self) -> Mapping[str, float]:
        """Of compressing, for `JobProgress`."""
        return {COMPRESSING: 1} if self.target_bytes is None else {SEARCHING: TYPICAL_CODINGS}


class Coded(NamedTuple):
    """A picture, coded and decoded."""

    data: bytes
    quality: float | None  # None for a model of one rate
    bpp: float
    decoded: np.ndarray  # uint8 [H, W, 3]
    psnr: float  # dB
    seconds: tuple[float, float]  # of compressing and of decoding


class OtherAvif(NamedTuple):
    """The AVIF of equal bytes."""

    avif: EqualAvif
    bpp: float
    psnr: float


def read_picture(data: bytes, max_pixels: int) -> LoadedImage:
    """The bytes of an upload -> a picture, as `diffcomp compress --background white` reads it.

    Refused by its header, before it is decoded, if it has more than `max_pixels`. Raises ImageError
    as `image_file.decode_image`, that names "the file".
    """
    return decode_image(io.BytesIO(data), "the file", WHITE, max_pixels)


def stages_of(rate: Rate, settings: DecodeSettings) -> dict[str, float]:
    """Of `compress_picture`, for `JobProgress`."""
    return {**rate.stages, **decode_stages(settings)}


def compress_picture(
    codec: "Codec",
    pixels: np.ndarray,
    rate: Rate,
    settings: DecodeSettings,
    progress: JobProgress,
) -> Coded:
    """uint8 [H, W, 3] -> its file, and what comes of it; stages: `stages_of`.

    Raises ValueError for what the codec refuses, OutOfReach for a size that no quality meets,
    Cancelled.
    """
    codec.decode_settings(settings)  # before any work
    started = time.monotonic()
    (stage,) = rate.stages
    programs = COMPRESSING, _size(codec, *pixels.shape[:2])
    with progress.stage(stage, programs) as told:
        if rate.target_bytes is None:
            data, quality = codec.compress(pixels, rate.quality, progress=told), rate.quality
        else:
            found = compress_to(codec, pixels, Target("bytes", rate.target_bytes), progress=told)
            data, quality = found.data, found.quality
    coded = time.monotonic()
    decoded = decode_file(codec, data, settings, progress)
    seconds = coded - started, time.monotonic() - coded
    rate_in_bits = bpp(len(data), *pixels.shape[:2])
    return Coded(data, quality, rate_in_bits, decoded, psnr(decoded, pixels), seconds)


def decode_stages(settings: DecodeSettings) -> dict[str, float]:
    """Of `decode_file`, for `JobProgress`."""
    return {DECODING: settings.steps or 1}


def decode_file(
    codec: "Codec", data: bytes, settings: DecodeSettings, progress: JobProgress
) -> np.ndarray:
    """The bytes of a `.dfc` file -> uint8 [H, W, 3]; of JobProgress, the stage DECODING.

    Raises as `Codec.decode`, and Cancelled.
    """
    info = file_info(data)
    programs = DECODING, _size(codec, info.height, info.width), settings.steps
    with progress.stage(DECODING, programs) as told:
        return codec.decode(data, settings, progress=told)


def avif_of(pixels: np.ndarray, limit: int, progress: JobProgress) -> OtherAvif | None:
    """The AVIF of at most `limit` bytes, None if there is none; of JobProgress, the stage AVIF."""
    with progress.stage(AVIF):
        avif = equal_avif(pixels, limit, progress.check)
    if avif is None:
        return None
    return OtherAvif(avif, bpp(len(avif.data), *pixels.shape[:2]), psnr(avif.decoded, pixels))


def _size(codec: "Codec", height: int, width: int) -> Hashable:
    """What pictures that share programs have in common."""
    networks = codec.networks
    return networks.in_tiles(height, width), networks.padded_size(height, width)
