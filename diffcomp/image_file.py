"""Reads pictures of any kind as 8-bit sRGB, and writes pictures and coded files.

What a file can say and an [H, W, 3] uint8 array cannot (depth, profile, orientation, frames) is
converted, and each conversion is reported as a note; transparency is refused unless the caller
chooses a background. Written files appear complete under their name or not at all.

Not applied: PNG gAMA, cHRM and cICP chunks, AVIF colour descriptions other than an ICC profile,
and the EXIF colour space tag. Such pictures are read as if they were sRGB.
"""

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageColor, UnidentifiedImageError

MAX_PIXELS = 2**28
MAX_SIDE = 65535

# Extension -> Pillow's format name and options. All but JPEG are lossless.
_JPEG = ("JPEG", {"quality": 95, "subsampling": "4:4:4"})
_TIFF = ("TIFF", {"compression": "tiff_adobe_deflate"})
_WRITERS = {
    ".png": ("PNG", {}),
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


class ImageError(ValueError):
    """A picture or coded file cannot be read or written; the text holds its path and the reason."""


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
    if background is not None and not _is_color(background):
        raise ValueError(f"background is {background}; it must be three integers in 0..255.")
    notes: list[str] = []
    with _errors_name(path):
        with open(path, "rb") as file:
            image, raw_mode = _decode(file, notes)
        profile = image.info.get("icc_profile")
        color, alpha = _split_alpha(image, raw_mode)
        if alpha is not None and background is None:
            raise ImageError(
                "has transparent pixels; give --background, a colour such as white or #rrggbb"
            )
        if color.mode in _DEEP_MODES:
            color = _reduce_depth(color, raw_mode, notes)
        pixels = np.array(_to_srgb(color, profile, notes))
    if alpha is not None:
        pixels = _composite(pixels, alpha, background)
        notes.append("transparency composited over rgb({}, {}, {})".format(*background))
    return LoadedImage(pixels, tuple(notes))


def parse_color(text: str) -> tuple[int, int, int]:
    """Returns the sRGB values, 0..255, of an opaque colour: a CSS name or #rrggbb.

    Raises:
      ImageError: `text` names no colour, or one with an alpha value.
    """
    try:
        color = ImageColor.getrgb(text)
    except ValueError:
        color = ()
    if not _is_color(color):
        raise ImageError(
            f"{text!r} is not an opaque colour; give #rrggbb or a name: white, black, grey, red ..."
        )
    return color


def write_image(path: str | os.PathLike, pixels: np.ndarray, overwrite: bool = False) -> None:
    """Writes a picture in the format of the path's extension.

    .png, .webp, .tif, .tiff, .bmp and .ppm are lossless; .jpg and .jpeg are JPEG at quality 95
    with 4:4:4 sampling, so they lose a little more after the codec.

    Args:
      path: the file to make; see `atomic_write`.
      pixels: uint8 [H, W, 3], sRGB.
      overwrite: replace an existing file.

    Raises:
      ImageError: as `image_format` and `atomic_write`, or the format cannot hold the picture.
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


def read_bytes(path: str | os.PathLike, limit: int) -> bytes:
    """Returns the content of a file; raises ImageError if unreadable or over `limit` bytes."""
    with _errors_name(path), open(path, "rb") as file:
        data = file.read(limit + 1)
        if len(data) > limit:
            raise ImageError(f"is longer than the limit of {limit} bytes")
    return data


def write_bytes(path: str | os.PathLike, data: bytes, overwrite: bool = False) -> None:
    """Writes a file in one step; see `atomic_write` for `overwrite` and the errors."""
    with atomic_write(path, overwrite) as file:
        file.write(data)


def check_target(path: str | os.PathLike, overwrite: bool = False) -> Path:
    """Raises the errors of `atomic_write` known beforehand, to fail before long work.

    Returns:
      The absolute path to be written, symbolic links resolved.
    """
    target = Path(os.path.realpath(path))
    with _errors_name(path):
        if not target.parent.is_dir():
            raise ImageError(f"the folder {target.parent} does not exist")
        if target.exists() and not target.is_file():
            raise ImageError("is not a regular file and cannot be replaced")
        if target.exists() and not overwrite:
            raise ImageError("exists already; give --force to replace it")
    return target


@contextmanager
def atomic_write(path: str | os.PathLike, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Yields a binary file that takes the name `path` when the block ends without an exception.

    The data goes to a temporary file in the same folder, which is removed on any failure. The
    file gets the permissions of any new file (the umask's), also when it replaces another.

    Raises:
      ImageError: the folder is missing, `path` exists and `overwrite` is False, `path` is no
        regular file, or the system refuses.
    """
    target = check_target(path, overwrite)
    temporary = target.with_name(f".diffcomp-{uuid4().hex}.tmp")
    with _errors_name(path):
        try:
            with open(temporary, "x+b") as file:
                yield file
            _publish(temporary, target, overwrite)
        finally:
            temporary.unlink(missing_ok=True)


def _publish(temporary: Path, target: Path, overwrite: bool) -> None:
    """Gives a finished file its name. A hard link, unlike a rename, never replaces a file."""
    if not overwrite:
        try:
            os.link(temporary, target)
            return
        except FileExistsError:
            raise ImageError("was made by another program meanwhile; give --force") from None
        except OSError:
            # The file system has no hard links; the check leaves a short race.
            check_target(target)
    os.replace(temporary, target)


@contextmanager
def _errors_name(path: str | os.PathLike) -> Iterator[None]:
    """Turns the block's ImageError and OSError into an ImageError that starts with the path."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from error


def _is_color(color: tuple[int, ...]) -> bool:
    return len(color) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in color)


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


def _split_alpha(image: Image.Image, raw_mode: str) -> tuple[Image.Image, np.ndarray | None]:
    """Returns the colour, without palette, and the alpha [H, W], None if opaque everywhere."""
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    elif image.mode == "1":
        image = image.convert("L")
    if image.mode in ("LA", "RGBA"):
        alpha = np.array(image.getchannel("A"))
        image = image.convert(image.mode[:-1])
    elif "transparency" in image.info:
        alpha = _alpha_of_key(image, raw_mode)
    else:
        return image, None
    return image, None if alpha.min() == 255 else alpha


def _alpha_of_key(image: Image.Image, raw_mode: str) -> np.ndarray:
    """Returns alpha [H, W] of a PNG with one transparent grey or colour (tRNS).

    Pillow gives the key at the depth of the file, though it scales the pixels to 8 bits.
    """
    key = np.array(image.info["transparency"])
    if raw_mode in ("L;2", "L;4"):
        key = key * {"L;2": 85, "L;4": 17}[raw_mode]
    elif raw_mode == "RGB;16B":
        # The low bytes are lost: this finds every pixel of the key, perhaps some near it too.
        key = key >> 8
    samples = np.asarray(image)
    is_key = (samples.reshape(*samples.shape[:2], -1) == key).all(axis=-1)
    return np.where(is_key, 0, 255).astype(np.uint8)


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


def _to_srgb(image: Image.Image, icc: bytes | None, notes: list[str]) -> Image.Image:
    """Converts an image without alpha or palette to sRGB, by its profile if that is usable."""
    if image.mode not in ("L", "CMYK", "LAB"):
        image = image.convert("RGB")
    if icc:
        try:
            return _apply_profile(image, ImageCms.ImageCmsProfile(io.BytesIO(icc)), notes)
        except (OSError, ValueError, ImageCms.PyCMSError):
            notes.append("broken ICC profile ignored")
    return image.convert("RGB")


def _apply_profile(
    image: Image.Image, profile: ImageCms.ImageCmsProfile, notes: list[str]
) -> Image.Image:
    space = profile.profile.xcolor_space.strip()
    mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)
    if mode == "RGB" and image.mode == "L":
        image = image.convert("RGB")
    if mode != image.mode:
        notes.append(f"ICC profile of colour space {space} ignored: the picture is {image.mode}")
        return image.convert("RGB")
    # Little CMS replaces the profile by a coarse table: ten levels off for linear grey. Without,
    # it takes a quarter of a second per megapixel; for colour a finer table is close enough.
    flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.HIGHRESPRECALC
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=flags,
    )
    if _is_neutral(transform, mode):
        return image.convert("RGB")
    converted = ImageCms.applyTransform(image, transform)
    # The name comes from the file and goes to a terminal.
    name = "".join(c for c in ImageCms.getProfileDescription(profile) if c.isprintable())[:60]
    notes.append(f'ICC profile "{name}" converted to sRGB')
    return converted


def _is_neutral(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether no colour of a 16 x 16 x 16 lattice moves by more than one level.

    So sRGB is known by what it does, as its many versions share no name.
    """
    lattice = np.indices((16, 16, 16), np.uint8).reshape(3, 64, 64).transpose(1, 2, 0) * 17
    probe = Image.fromarray(np.ascontiguousarray(lattice)).convert(mode)
    before = np.asarray(probe.convert("RGB"), np.int16)
    after = np.asarray(ImageCms.applyTransform(probe, transform), np.int16)
    return bool(np.abs(after - before).max() <= 1)


def _composite(
    pixels: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int]
) -> np.ndarray:
    """Mixes uint8 [H, W, 3] over a colour by alpha [H, W], rounding to nearest."""
    opacity = alpha[..., None].astype(np.uint16)
    mix = pixels * opacity + np.array(background, np.uint16) * (255 - opacity)
    return ((mix + 127) // 255).astype(np.uint8)
