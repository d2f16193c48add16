"""Samples of more than 8 bits as arrays: what Pillow decodes as grey, and in two halves as RGB."""

import sys

import numpy as np
from PIL import Image

from diffcomp.files.image_error import ImageError

GREY_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_NATIVE_OTHER = "B" if sys.byteorder == "little" else "L"
# Byte order in a raw mode of Pillow, which keeps the upper byte -> the one that takes the lower.
_LOWER = {"B": "L", "L": "B", "N": _NATIVE_OTHER}


def halves(raw_mode: str) -> tuple[str, ...]:
    """The raw modes that together take whole 16-bit samples of a picture, or none.

    Examples: "RGB;16B" -> the same, for the upper bytes, and "RGB;16L", for the lower ones.
    "LA;16B" -> "RGBA": its two samples as four bytes.
    """
    channels, mark, order = raw_mode.partition(";16")
    if raw_mode == "LA;16B":
        return ("RGBA",)
    if not mark or order not in _LOWER or channels.upper() not in ("RGB", "RGBA", "RGBX"):
        return ()
    # Associated alpha is taken as it is: Pillow would divide by its upper byte.
    channels = channels.upper()
    return (f"{channels};16{order}", f"{channels};16{_LOWER[order]}")


def joined(parts: list[Image.Image], raw_mode: str) -> np.ndarray:
    """The samples, uint16 [H, W, C], from pictures decoded in `halves`."""
    if len(parts) == 1:
        return np.asarray(parts[0]).view(">u2").astype(np.uint16)
    samples = np.asarray(parts[0]).astype(np.uint16)
    samples <<= 8
    samples |= np.asarray(parts[1])
    return divided(samples) if raw_mode.startswith("RGBa") else samples


def divided(samples: np.ndarray) -> np.ndarray:
    """Undoes associated alpha, uint16 [H, W, 4]: colours that were multiplied by their opacity."""
    alpha = samples[..., 3:].astype(np.uint64)
    color = samples[..., :3].astype(np.uint64) * 65535 + alpha // 2
    color = np.minimum(color // np.maximum(alpha, 1), 65535)
    return np.concatenate([color.astype(np.uint16), samples[..., 3:]], axis=-1)


def grey_samples(image: Image.Image, raw_mode: str) -> tuple[np.ndarray, int]:
    """Deep grey [H, W, 1], and the value of white: 1 for floats, 4095 or 65535 for integers.

    Integers of 32 bits are taken for 16-bit ones, which is how Pillow writes them.

    Raises:
      ImageError: the samples exceed that range: nobody knows what is white then.
    """
    samples = np.asarray(image)
    if samples.dtype == np.int32 and raw_mode.startswith("I;32") and "S" not in raw_mode:
        samples = samples.view(np.uint32)
    low, high = samples.min(), samples.max()
    white = 1 if image.mode == "F" else 4095 if raw_mode.startswith("I;12") else 65535
    if not (low >= 0 and high <= white):  # NaN fails too
        raise ImageError(f"has samples from {low} to {high}; they must be within 0..{white}")
    if white > 1:
        samples = samples.astype(np.uint16)
    if raw_mode.endswith(";I"):
        samples = white - samples
    return samples[..., None], white


def depth_name(white: int) -> str:
    return {1: "float", 4095: "12-bit", 65535: "16-bit"}[white]


def to_8_bits(samples: np.ndarray, white: int) -> np.ndarray:
    """Samples from 0 to `white` -> uint8, rounded. Pillow's own conversion cuts or clips."""
    if white == 1:
        return np.rint(samples * 255).astype(np.uint8)
    table = (np.arange(white + 1, dtype=np.uint32) * 255 + white // 2) // white
    return table.astype(np.uint8)[samples]
