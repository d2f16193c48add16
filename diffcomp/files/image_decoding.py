"""From a file to samples: which reader, which frame, at which depth, the right way up.

Pillow decodes. What it has no mode for, 16-bit RGB, is decoded twice, for the upper and the lower
half of each sample.
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from diffcomp.coding.bitstream import MAX_PIXELS, MAX_SIDE
from diffcomp.files import deep_samples, jpeg_file, png_file, tiff_directories, tiff_file
from diffcomp.files.image_error import ImageError
from diffcomp.files.image_statements import Statements, is_tiff, read_statements
from diffcomp.files.pillow_packages import enable_package

_MODE_NOTES = {
    "1": "black and white converted to RGB",
    "P": "palette converted to RGB",
    "PA": "palette converted to RGB",
    "CMYK": "CMYK converted to sRGB",
    "YCbCr": "YCbCr converted to sRGB",
    "LAB": "CIELAB converted to sRGB",
    "HSV": "HSV converted to RGB",
    **dict.fromkeys(("L", "LA", "La", *deep_samples.GREY_MODES), "grey converted to RGB"),
}

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

_JPEG = b"\xff\xd8"  # the first bytes of a file

# Pictures below this size decode without Pillow's limit raised, hence without the lock.
_ORDINARY_PIXELS = 2**26
_pixel_limit_lock = threading.Lock()


@dataclass(frozen=True)
class DecodedImage:
    """One frame, upright, and what its file says of it."""

    picture: Image.Image | np.ndarray  # deeper than 8 bits: uint16 or float32 [H, W, C], C 1..4
    white: int  # the largest value of a sample
    raw_mode: str  # Pillow's name for the samples in the file, such as "L;2"
    key: tuple[int, ...]  # PNG's transparent grey or colour, at the depth of the file
    statements: Statements


@dataclass
class _Source:
    """A file as Pillow gets it."""

    file: BinaryIO
    head: bytes
    max_pixels: int
    png: png_file.PngFile | None = None

    def open(self) -> Image.Image:
        self.file.seek(0)
        return Image.open(self.file)

    def read(self) -> bytes:
        self.file.seek(0)
        return self.file.read()


def decode(file: BinaryIO, notes: list[str], max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Decodes the picture of a file that can be sought, and notes what was changed or left out.

    One of more than `max_pixels` is refused by what its header says, before it is decoded.

    Raises:
      ImageError: as `image_file.read_image`, but for transparency.
    """
    file.seek(0)
    head = file.read(16)
    try:
        return _decode_source(_source(file, head, notes, max_pixels), notes)
    except ImageError:
        raise
    except UnidentifiedImageError:
        if head[:4] in tiff_file.SIGNATURES:
            raise ImageError(tiff_file.refusal(file)) from None
        if head.startswith(_JPEG):  # Pillow before 13 does not know one that ends in its header
            raise ImageError("is a broken or unsupported picture: no whole header") from None
        raise ImageError("is not a picture of a kind that Pillow can read") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"is too large: {error}") from error
    # On broken files Pillow's decoders raise OSError, SyntaxError, struct.error, IndexError ...
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ImageError(f"is a broken or unsupported picture: {reason}") from error


def _source(file: BinaryIO, head: bytes, notes: list[str], max_pixels: int) -> _Source:
    source = _Source(file, head, max_pixels)
    if head.startswith(png_file.SIGNATURE):
        source.png = png_file.read_png(source.read(), notes)
        source.file = source.png.pixels
    elif head[:4] in tiff_file.SIGNATURES:
        source.file = tiff_file.full_picture(file, notes)
    return source


def _decode_source(source: _Source, notes: list[str]) -> DecodedImage:
    known = len(notes)
    try:
        return _decode_frame(source, notes)
    except UnidentifiedImageError:
        if not enable_package(source.head):
            raise
        return _decode_frame(source, notes)
    except OSError:
        whole = jpeg_file.with_end(source.read()) if source.head.startswith(_JPEG) else None
        if whole is None:
            raise
        del notes[known:]
        notes.append("missing end marker of the JPEG ignored")
        return _decode_frame(_Source(io.BytesIO(whole), source.head, source.max_pixels), notes)


def _decode_frame(source: _Source, notes: list[str]) -> DecodedImage:
    with _pixel_limit():
        image = source.open()
    width, height = image.size
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"is {width}x{height}; neither side may exceed {MAX_SIDE}")
    if width * height > source.max_pixels:
        pixels = f"{width}x{height}, {width * height} pixels"
        raise ImageError(f"is too large: {pixels}, and {source.max_pixels} are allowed")
    with _pixel_limit() if width * height > _ORDINARY_PIXELS else nullcontext():
        return _load(source, image, notes)


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


def _load(source: _Source, image: Image.Image, notes: list[str]) -> DecodedImage:
    raw_mode = _raw_mode(image)
    plain_ycbcr = is_tiff(image) and tiff_file.is_plain_ycbcr(image.tag_v2)
    mode = "YCbCr" if plain_ycbcr else image.mode
    if mode in _MODE_NOTES:
        notes.append(_MODE_NOTES[mode])
    further = getattr(image, "n_frames", 1) - 1
    if further:
        notes.append(f"{further} further frame{'s' if further > 1 else ''} ignored")
    statements = read_statements(image, source.png, source.read, notes)
    # Pillow turns a TIFF upright, and forgets its orientation, as it loads it.
    turn = None if is_tiff(image) else _TURNS.get(statements.orientation)
    picture, white = _samples(source, image, raw_mode, turn, plain_ycbcr)
    if statements.orientation in _TURNS:
        notes.append("EXIF orientation applied")
    bits = tiff_file.sample_bits(image.tag_v2) if is_tiff(image) else 16 * (";16" in raw_mode)
    if bits == 16 and white == 255:
        notes.append("16-bit converted to 8-bit")
    if bits == 32 and white == 65535:
        notes.append("32-bit samples read as 16-bit")
    key = source.png.key if source.png else ()
    return DecodedImage(picture, white, raw_mode, key, statements)


def _samples(
    source: _Source,
    image: Image.Image,
    raw_mode: str,
    turn: Image.Transpose | None,
    plain_ycbcr: bool,
) -> tuple[Image.Image | np.ndarray, int]:
    """The picture upright, as an array if deeper than 8 bits, and the largest value of a sample."""
    if is_tiff(image) and tiff_file.has_planes(image.tag_v2):
        return tiff_file.read_planes(source.file, image.tag_v2)
    if image.format in ("PNG", "TIFF"):
        halves = deep_samples.halves(raw_mode)
        parts = [_turned(_in_raw_mode(source.open(), half), turn) for half in halves]
        if parts:
            return deep_samples.joined(parts, raw_mode), 65535
    if image.mode == "RGB" and plain_ycbcr:
        image = _in_raw_mode(image, "RGB")
        return Image.frombytes("YCbCr", image.size, image.tobytes()), 255
    image.load()
    image = _turned(image, turn)
    if image.mode in deep_samples.GREY_MODES:
        return deep_samples.grey_samples(image, raw_mode)
    return image, 255


def _in_raw_mode(image: Image.Image, raw_mode: str) -> Image.Image:
    """Loads a picture as if its file had samples of another kind of the same size."""
    image.tile = [
        tile._replace(args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode)
        for tile in image.tile
    ]
    image.load()
    return image


def _turned(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return image if turn is None else image.transpose(turn)


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
    photometric = image.tag_v2.get(tiff_directories.PHOTOMETRIC) if is_tiff(image) else None
    deep = image.mode in deep_samples.GREY_MODES
    return raw_mode + ";I" if deep and photometric == 0 else raw_mode
