"""Reads pictures of any kind as 8-bit sRGB, and writes pictures.

What a file can say and an [H, W, 3] uint8 array cannot (depth, profile, orientation, frames) is
converted, and each conversion is reported as a note; transparency is refused unless the caller
chooses a background.

Not applied: PNG gAMA, cHRM and cICP chunks, AVIF colour descriptions other than an ICC profile,
and the EXIF colour space tag. Such pictures are read as if they were sRGB.
"""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from diffcomp.coding.bitstream import MAX_PIXELS, MAX_SIDE
from diffcomp.files.atomic_file import FileError, atomic_write, errors_name
from diffcomp.files.color_conversion import composite, is_color, split_alpha, to_srgb

# Extension -> Pillow's format name and options. All but JPEG are lossless.
_JPEG = ("JPEG", {"quality": 95, "subsampling": "4:4:4"})
_TIFF = ("TIFF", {"compression": "tiff_adobe_deflate"})
_WRITERS = {
    # On photographs a hundredth more bytes than by the usual level, 6, in less than half the time.
    ".png": ("PNG", {"compress_level": 4}),
    ".webp": ("WEBP", {"lossless": True}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": ("BMP", {}),
    ".ppm": ("PPM", {}),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
}

_MODE_NOTES = {
    "1": "black and white converted to RGB",
    "P": "palette converted to RGB",
    "PA": "palette converted to RGB",
    "CMYK": "CMYK converted to sRGB",
    "YCbCr": "YCbCr converted to sRGB",
    "LAB": "CIELAB converted to sRGB",
    **dict.fromkeys(("L", "LA", "La", "I", "F"), "grey converted to RGB"),
    **dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N"), "grey converted to RGB"),
}
_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")

# EXIF orientation -> what turns the stored picture upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pictures below this size decode without Pillow's limit raised, hence without the lock.
_ORDINARY_PIXELS = 2**26
_pixel_limit_lock = threading.Lock()


class ImageError(FileError):
    """A picture cannot be read or written; the text holds its path and the reason."""


@dataclass(frozen=True)
class LoadedImage:
    """A picture as the codec takes it, and what was changed on the way."""

    pixels: np.ndarray  # uint8 [H, W, 3], sRGB
    notes: tuple[str, ...]  # one sentence per conversion, in the order made


def read_image(
    path: str | os.PathLike, background: tuple[int, int, int] | None = None
) -> LoadedImage:
    """Reads the first frame of any picture Pillow opens, upright, as 8-bit sRGB.

    An embedded ICC profile is applied with relative colorimetric intent, unless it is sRGB in
    effect. An alpha channel that is opaque everywhere is dropped without a note.

    Args:
      path: the picture.
      background: sRGB colour, 0..255 each, to composite transparent pixels over. The mix is of
        sRGB values, as web browsers do it, not of linear light.

    Raises:
      ImageError: the file is missing, unreadable, no picture, broken, larger than `MAX_PIXELS`
        pixels or `MAX_SIDE` on a side, has samples whose range is unknown, or has transparent
        pixels while `background` is None.
      ValueError: `background` is not three integers in 0..255.
    """
    if background is not None and not is_color(background):
        raise ValueError(f"background is {background}; it must be three integers in 0..255.")
    with errors_name(path, ImageError), open(path, "rb") as file:
        return _read(file, background)


def decode_image(file: BinaryIO, name: str) -> LoadedImage:
    """Like `read_image`, from an open file that can be sought; errors call the picture `name`."""
    with errors_name(name, ImageError):
        return _read(file, background=None)


def write_image(path: str | os.PathLike, pixels: np.ndarray, overwrite: bool = False) -> None:
    """Writes a picture in the format of the path's extension.

    .png, .webp, .tif, .tiff, .bmp and .ppm are lossless; .jpg and .jpeg are JPEG at quality 95
    with 4:4:4 sampling, so they lose a little more after the codec.

    Args:
      path: the file to make; see `atomic_write`.
      pixels: uint8 [H, W, 3], sRGB.
      overwrite: replace an existing file.

    Raises:
      ImageError: as `image_format`, or the format cannot hold the picture.
      FileError: as `atomic_write`.
      ValueError: `pixels` has another shape or dtype.
    """
    name, options = _WRITERS[image_format(path)]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}; they must be uint8 [H, W, 3].")
    image = Image.fromarray(pixels)
    with atomic_write(path, overwrite) as file:
        try:
            image.save(file, name, **options)
        except (OSError, ValueError) as error:
            raise ImageError(f"cannot be written as {name}: {error}") from error


def image_format(path: str | os.PathLike) -> str:
    """Returns the extension `write_image` goes by, in lower case; raises ImageError if unknown."""
    extension = Path(path).suffix.lower()
    if extension not in _WRITERS:
        choices = " ".join(_WRITERS)
        raise ImageError(f"{path}: unknown extension {extension!r}; it must be one of {choices}")
    return extension


def _read(file: BinaryIO, background: tuple[int, int, int] | None) -> LoadedImage:
    notes: list[str] = []
    image, raw_mode = _decode(file, notes)
    profile = image.info.get("icc_profile")
    color, alpha = split_alpha(image, raw_mode)
    if alpha is not None and background is None:
        raise ImageError(
            "has transparent pixels; give --background, a colour such as white or #rrggbb"
        )
    if color.mode in _DEEP_MODES:
        color = _reduce_depth(color, raw_mode, notes)
    pixels = np.array(to_srgb(color, profile, notes))
    if alpha is not None:
        pixels = composite(pixels, alpha, background)
        notes.append("transparency composited over rgb({}, {}, {})".format(*background))
    return LoadedImage(pixels, tuple(notes))


def _decode(file: BinaryIO, notes: list[str]) -> tuple[Image.Image, str]:
    """Returns the first frame, loaded and upright, and its raw mode (see `_raw_mode`)."""
    try:
        with _pixel_limit():
            image = Image.open(file)
        width, height = image.size
        if max(width, height) > MAX_SIDE:
            raise ImageError(f"is {width}x{height}; neither side may exceed {MAX_SIDE}")
        with _pixel_limit() if width * height > _ORDINARY_PIXELS else nullcontext():
            return _load(image, notes)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError("is not a picture of a kind that Pillow can read") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"is too large: {error}") from error
    # On broken files Pillow's decoders raise OSError, SyntaxError, struct.error, IndexError ...
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ImageError(f"is a broken or unsupported picture: {reason}") from error


@contextmanager
def _pixel_limit() -> Iterator[None]:
    """Raises Pillow's limit against decompression bombs to MAX_PIXELS within the block.

    Pillow keeps the limit in a global, refuses above twice it and warns above it.
    """
    with _pixel_limit_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _load(image: Image.Image, notes: list[str]) -> tuple[Image.Image, str]:
    raw_mode = _raw_mode(image)
    if image.mode in _MODE_NOTES:
        notes.append(_MODE_NOTES[image.mode])
    if image.mode not in _DEEP_MODES and ";16" in raw_mode:
        notes.append("16-bit converted to 8-bit")
    further = getattr(image, "n_frames", 1) - 1
    if further:
        notes.append(f"{further} further frame{'s' if further > 1 else ''} ignored")
    # Pillow turns a TIFF upright, and forgets its orientation, as it loads it.
    is_tiff = hasattr(image, "tag_v2")
    orientation = image.tag_v2.get(ExifTags.Base.Orientation) if is_tiff else None
    image.load()
    if not is_tiff:
        orientation = _exif_orientation(image, notes)
    if orientation in _TURNS:
        notes.append("EXIF orientation applied")
        image = image if is_tiff else image.transpose(_TURNS[orientation])
    return image, raw_mode


def _exif_orientation(image: Image.Image, notes: list[str]) -> int | None:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # As many kinds as for broken pictures, but the picture is whole.
        notes.append("broken EXIF ignored")
        return None


def _raw_mode(image: Image.Image) -> str:
    """Returns Pillow's name for the samples in the file of an image not loaded yet, or "".

    Examples: "RGB;16B", "L;2". ";I" is added if white is zero and Pillow does not invert it.
    """
    args = image.tile[0][3] if image.tile else ""
    raw_mode = args[0] if isinstance(args, tuple) and args else args
    if not isinstance(raw_mode, str):
        return ""
    if image.format == "PPM" and isinstance(args, tuple) and args[-1] > 255:  # the largest value
        return raw_mode + ";16B"
    photometric = getattr(image, "tag_v2", {}).get(262)
    return raw_mode + ";I" if image.mode in _DEEP_MODES and photometric == 0 else raw_mode


def _reduce_depth(image: Image.Image, raw_mode: str, notes: list[str]) -> Image.Image:
    """Returns deep grey as mode "L", rounded. Pillow's own conversion clips instead."""
    samples = np.asarray(image)
    low, high = samples.min(), samples.max()
    full = 1 if image.mode == "F" else 4095 if raw_mode.startswith("I;12") else 65535
    if not (low >= 0 and high <= full):  # NaN fails too
        raise ImageError(f"has samples from {low} to {high}; they must be within 0..{full}")
    if image.mode == "F":
        grey = np.rint(samples * 255)
    else:
        grey = (samples.astype(np.uint32) * 255 + full // 2) // full
    depth = {1: "float", 4095: "12-bit", 65535: "16-bit"}[full]
    notes.append(f"{depth} converted to 8-bit")
    grey = grey.astype(np.uint8)
    return Image.fromarray(255 - grey if raw_mode.endswith(";I") else grey)
