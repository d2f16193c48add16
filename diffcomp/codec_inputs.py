"""What people hand to a codec, as the codec takes it; errors name the argument and the type."""

import logging
import os
from typing import Any

import numpy as np

from diffcomp.coding import bitstream
from diffcomp.files.image_file import read_image

log = logging.getLogger(__name__)


def as_pixels(image: Any, max_pixels: int = bitstream.MAX_PIXELS) -> np.ndarray:
    """A picture -> uint8 [H, W, 3], sRGB, within the limits of a file.

    image: an array of uint8 [H, W, 3] of NumPy, JAX or what else has `__array__`; a PIL image of
    mode RGB or L; or the path of a picture, which is read as `diffcomp compress` reads it. One of
    more than `max_pixels` is refused.

    Raises ValueError for another type, shape, mode or size, ImageError for an unreadable file.
    """
    if isinstance(image, str | os.PathLike):
        loaded = read_image(image, max_pixels=max_pixels)
        for note in loaded.notes:
            log.warning("%s: %s", image, note)
        return loaded.pixels
    mode = getattr(image, "mode", None)  # of PIL images, without importing PIL
    if isinstance(mode, str):
        if mode not in ("RGB", "L"):
            raise ValueError(f"image is of mode {mode}; it must be RGB or L. Convert it first.")
        image = image.convert("RGB")
    elif not hasattr(image, "__array__"):
        raise ValueError(
            f"image is of type {type(image).__name__}; it must be an array of uint8 [H, W, 3], a"
            " PIL image or a path."
        )
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise ValueError(f"image is an array of {pixels.dtype}; it must be of uint8, 0 to 255.")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"image has shape {pixels.shape}; it must be [H, W, 3].")
    bitstream.check_size(pixels.shape[1], pixels.shape[0], max_pixels)
    return pixels


def as_bytes(data: Any) -> bytes:
    """bytes, bytearray or memoryview -> bytes; raises ValueError for anything else."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise ValueError(
        f"data is of type {type(data).__name__}; it must be bytes, bytearray or memoryview."
    )
