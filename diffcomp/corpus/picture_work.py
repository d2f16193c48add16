"""One picture's work, as any engine calls it."""

import hashlib
import io
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from diffcomp.coding.file_info import file_info
from diffcomp.corpus.rows import Row, failure
from diffcomp.corpus.settings import Settings
from diffcomp.distances.distortion import bpp, psnr
from diffcomp.export.shipped_models import DEFAULT_MODEL, writer_of
from diffcomp.files import image_file, image_output
from diffcomp.loaded_codecs import codec_of

Content = bytes | np.ndarray  # a file's, or the pixels, uint8 [H, W, 3], of an opened data set


class Coded(NamedTuple):
    """What came of a picture: its row, and the output unless the row has an error."""

    row: Row
    data: bytes | None


def output_name(name: str, settings: Settings) -> str:
    """The name of a picture's output; two pictures' are never the same.

    a.png and a.jpg become a.png.dfc and a.jpg.dfc; these become a.png.png and a.jpg.png.
    """
    if settings.mode == "compress":
        return f"{name}.dfc"
    return name.removesuffix(".dfc") + settings.suffix


def attempt(name: str, settings: Settings, read: Callable[[], Content]) -> Coded:
    """Codes what `read` gives; whatever it fails with becomes the row's error, on one line."""
    try:
        work = _compress if settings.mode == "compress" else _decompress
        return work(name, settings, read())
    # One picture of millions must not end the work on the others, by whatever it fails.
    except Exception as error:
        return Coded(failure(name, error), None)


def _compress(name: str, settings: Settings, content: Content) -> Coded:
    if isinstance(content, np.ndarray):
        pixels = content
    else:
        pixels = image_file.decode_image(io.BytesIO(content), name, settings.background).pixels
    codec = codec_of(settings.model or DEFAULT_MODEL)
    start = time.perf_counter()
    data = codec.compress(pixels, settings.quality)
    seconds = time.perf_counter() - start
    decoded = codec.decode(data, settings.decode) if settings.psnr else None
    height, width = pixels.shape[:2]
    row = Row(
        name=name,
        output=output_name(name, settings),
        width=width,
        height=height,
        bytes=len(data),
        bpp=bpp(len(data), height, width),
        psnr=None if decoded is None else psnr(decoded, pixels),
        seconds=seconds,
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return Coded(row, data)


def _decompress(name: str, settings: Settings, content: Content) -> Coded:
    if isinstance(content, np.ndarray):
        raise ValueError("is a picture already, no .dfc file")
    info = file_info(content)
    codec = codec_of(settings.model or writer_of(info.fingerprint))
    start = time.perf_counter()
    pixels = codec.decode(content, settings.decode)
    seconds = time.perf_counter() - start
    data = image_output.encode_image(pixels, settings.suffix)
    row = Row(
        name=name,
        output=output_name(name, settings),
        width=info.width,
        height=info.height,
        bytes=len(content),
        bpp=info.bpp,
        seconds=seconds,
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return Coded(row, data)
