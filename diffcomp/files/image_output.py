"""Writes pictures, and with them EXIF and XMP where the format can hold them."""

import io
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from diffcomp.coding.metadata import Metadata
from diffcomp.files.atomic_file import atomic_write
from diffcomp.files.image_error import ImageError

# Extension -> Pillow's format name and options. All but JPEG and AVIF are lossless.
_JPEG = ("JPEG", {"quality": 95, "subsampling": "4:4:4"})
_DEFLATE = "tiff_adobe_deflate"
_TIFF = ("TIFF", {"compression": _DEFLATE})
_WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    # On photographs a hundredth more bytes than by the usual level, 6, in less than half the time.
    ".png": ("PNG", {"compress_level": 4}),
    ".webp": ("WEBP", {"lossless": True}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": ("BMP", {}),
    ".ppm": ("PPM", {}),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".avif": ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
}
WRITE_SUFFIXES = tuple(_WRITERS)
_WITHOUT_METADATA = ("BMP", "PPM")
_XMP_TAG = 700  # of TIFF


def write_image(
    path: str | os.PathLike,
    pixels: np.ndarray,
    overwrite: bool = False,
    metadata: Metadata | None = None,
) -> None:
    """Writes a picture in the format of the path's extension.

    .png, .webp, .tif, .tiff, .bmp and .ppm are lossless; .jpg and .jpeg are JPEG at quality 95, and
    .avif is AVIF at Pillow's quality 100, both with 4:4:4 sampling, so they lose a little more
    after the codec. A TIFF with EXIF is not compressed.

    Args:
      path: the file to make; see `atomic_write`.
      pixels: uint8 [H, W, 3], sRGB.
      overwrite: replace an existing file.
      metadata: EXIF and XMP to write beside the pixels, as they are; see `holds_metadata`.

    Raises:
      ImageError: as `image_format`, or the format cannot hold the picture or its metadata.
      FileError: as `atomic_write`.
      ValueError: `pixels` has another shape or dtype.
    """
    extension = image_format(path)
    if metadata and not holds_metadata(path):
        raise ImageError(f"{path}: {extension} holds neither EXIF nor XMP; write another format")
    with atomic_write(path, overwrite) as file:
        _write(file, pixels, extension, metadata)


def encode_image(pixels: np.ndarray, extension: str, metadata: Metadata | None = None) -> bytes:
    """The bytes of a picture, in the format of an extension such as ".png"; see `write_image`."""
    file = io.BytesIO()
    _write(file, pixels, image_format(f"picture{extension}"), metadata)
    return file.getvalue()


def _write(file: BinaryIO, pixels: np.ndarray, extension: str, metadata: Metadata | None) -> None:
    name, options = _WRITERS[extension]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}; they must be uint8 [H, W, 3].")
    try:
        Image.fromarray(pixels).save(file, name, **{**options, **_extra(name, metadata)})
    except (OSError, ValueError, TypeError, SyntaxError, RuntimeError, struct.error) as error:
        raise ImageError(f"cannot be written as {name}: {error}") from error


def image_format(path: str | os.PathLike) -> str:
    """Returns the extension `write_image` goes by, in lower case; raises ImageError if unknown."""
    extension = Path(path).suffix.lower()
    if extension not in _WRITERS:
        choices = " ".join(_WRITERS)
        raise ImageError(f"{path}: unknown extension {extension!r}; it must be one of {choices}")
    return extension


def holds_metadata(path: str | os.PathLike) -> bool:
    """Whether the format of the path's extension takes EXIF and XMP; raises as `image_format`."""
    return _WRITERS[image_format(path)][0] not in _WITHOUT_METADATA


def _extra(name: str, metadata: Metadata | None) -> dict[str, Any]:
    """Pillow's options for metadata; each format has its own."""
    if not metadata:
        return {}
    exif, xmp = metadata.exif, metadata.xmp
    if name == "TIFF":
        # Pillow cannot give libtiff, which compresses, directories below the first.
        return {"tiffinfo": _tiff_tags(exif, xmp), "compression": "raw" if exif else _DEFLATE}
    options: dict[str, Any] = {"exif": b"Exif\0\0" + exif} if exif else {}
    if xmp and name == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        options["pnginfo"] = text
    elif xmp:
        options["xmp"] = xmp
    return options


def _tiff_tags(exif: bytes | None, xmp: bytes | None) -> Image.Exif:
    """A TIFF has EXIF's tags among its own."""
    tags = Image.Exif()
    if exif:
        tags.load(exif)
        # Pillow would write this directory's offset wrong; it says sRGB, which ColorSpace says too.
        tags.get_ifd(ExifTags.IFD.Exif).pop(ExifTags.IFD.Interop, None)
    if xmp:
        tags[_XMP_TAG] = xmp
    return tags
