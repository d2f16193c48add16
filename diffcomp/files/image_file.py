"""Reads pictures of any kind as 8-bit sRGB.

What a file can say and an [H, W, 3] uint8 array cannot (depth, colour space, orientation, frames)
is converted, and each conversion is reported as a note; transparency is refused unless the caller
chooses a background, and so are high dynamic range and samples whose range is unknown.

    which reader, which frame, how deep        image_decoding.py (deep_samples.py)
    one kind of file                           png_file.py, tiff_file.py, jpeg_file.py, boxes.py
    what a file says beside its samples        image_statements.py (exif.py)
    colours                                    color_conversion.py, rgb_space.py, icc_profile.py,
                                               color_codes.py
    the way out                                image_output.py

Not seen: damage inside of a JPEG that libjpeg decodes all the same (its warnings do not get through
Pillow), and the colour tags of BMP headers.
"""

import os
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from diffcomp.coding.bitstream import MAX_PIXELS
from diffcomp.coding.metadata import Metadata
from diffcomp.files import pillow_warnings
from diffcomp.files.atomic_file import errors_name
from diffcomp.files.color_conversion import (
    composite,
    deep_to_srgb,
    is_color,
    split_alpha,
    split_deep_alpha,
    to_srgb,
)
from diffcomp.files.image_decoding import DecodedImage, decode
from diffcomp.files.image_error import ImageError
from diffcomp.files.image_output import image_format, write_image

__all__ = ["ImageError", "LoadedImage", "decode_image", "image_format", "read_image", "write_image"]

# Of files that are taken from a folder. Every picture that Pillow opens can be named on its own.
READ_SUFFIXES = frozenset(
    {".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg",
     ".jxl", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)  # fmt: skip


@dataclass(frozen=True)
class LoadedImage:
    """A picture as the codec takes it, and what was changed on the way."""

    pixels: np.ndarray  # uint8 [H, W, 3], sRGB
    notes: tuple[str, ...]  # one sentence per conversion, in the order made
    metadata: Metadata  # EXIF and XMP, true of `pixels`: upright, sRGB, no thumbnail


def read_image(
    path: str | os.PathLike,
    background: tuple[int, int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> LoadedImage:
    """Reads the first frame of any picture Pillow opens, upright, as 8-bit sRGB.

    The first that is no preview, of a TIFF. An embedded ICC profile is applied with relative
    colorimetric intent, and colours that are stated otherwise are converted too: PNG's cICP, gAMA
    and cHRM, nclx of AVIF and HEIF, TIFF's tags, Adobe RGB of EXIF; unless they are sRGB in effect.
    An alpha channel that is opaque everywhere is dropped without a note.

    Args:
      path: the picture.
      background: sRGB colour, 0..255 each, to composite transparent pixels over. The mix is of
        sRGB values, as web browsers do it, not of linear light.
      max_pixels: of the picture, from 1 to MAX_PIXELS.

    Raises:
      ImageError: the file is missing, unreadable, no picture, broken, larger than `max_pixels`
        pixels or `MAX_SIDE` on a side, a camera's raw data, of high dynamic range (PQ, HLG), needs
        a package that is not installed, has samples whose range is unknown, or has transparent
        pixels while `background` is None.
      ValueError: `background` is not three integers in 0..255.
    """
    if background is not None and not is_color(background):
        raise ValueError(f"background is {background}; it must be three integers in 0..255.")
    with errors_name(path, ImageError), open(path, "rb") as file:
        return _read(file, background, max_pixels)


def decode_image(
    file: BinaryIO,
    name: str,
    background: tuple[int, int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> LoadedImage:
    """Like `read_image`, from an open file that can be sought; errors call the picture `name`."""
    with errors_name(name, ImageError):
        return _read(file, background, max_pixels)


def _read(file: BinaryIO, background: tuple[int, int, int] | None, max_pixels: int) -> LoadedImage:
    notes: list[str] = []
    with pillow_warnings.as_note(notes):
        decoded = decode(file, notes, max_pixels)
        pixels = _opaque_srgb(decoded, background, notes)
    return LoadedImage(pixels, tuple(notes), decoded.statements.metadata)


def _opaque_srgb(
    decoded: DecodedImage, background: tuple[int, int, int] | None, notes: list[str]
) -> np.ndarray:
    """uint8 [H, W, 3]; raises ImageError for transparent pixels without a background."""
    picture, colors = decoded.picture, decoded.statements.colors
    if isinstance(picture, np.ndarray):
        samples, alpha = split_deep_alpha(picture, decoded.white, decoded.key)
        pixels = deep_to_srgb(samples, decoded.white, colors, notes)
    else:
        image, alpha = split_alpha(picture, decoded.raw_mode, decoded.key)
        pixels = to_srgb(image, colors, notes)
    if alpha is None:
        return pixels
    if background is None:
        raise ImageError(
            "has transparent pixels; give --background, a colour such as white or #rrggbb"
        )
    notes.append("transparency composited over rgb({}, {}, {})".format(*background))
    return composite(pixels, alpha, background)
