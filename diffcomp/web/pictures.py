"""Pictures as files that the page shows or hands out, and what they are called."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from diffcomp.files.image_output import encode_image

MAX_WEBP_SIDE = 2**14 - 1


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """uint8 [H, W, 3] -> the file, for visitors to keep."""
    path.write_bytes(encode_image(pixels, ".png"))
    return path


def write_shown(folder: Path, name: str, pixels: np.ndarray) -> Path:
    """uint8 [H, W, 3] -> a lossless file that a browser shows and nobody keeps.

    WebP at its fastest takes a quarter of PNG's time, and fewer bytes. What is too long for it
    becomes PNG.
    """
    if max(pixels.shape[:2]) > MAX_WEBP_SIDE:
        return write_png(folder / f"{name}.png", pixels)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, method=0, quality=0)
    path = folder / f"{name}.webp"
    path.write_bytes(file.getvalue())
    return path


def stem(upload: Path) -> str:
    """What files made of an upload are called: letters, digits and a few signs of its name."""
    kept = "".join(c for c in upload.stem if c.isalnum() or c in " -_.")
    return kept.strip(" .")[:80] or "picture"
