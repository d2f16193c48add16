"""Damaged and forged pictures of every format that is read: an ImageError, or pixels."""

import contextlib
import io
import random
import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
import skimage.data
from fuzz_changes import damaged, overwritten
from PIL import Image

from diffcomp.files.image_error import ImageError
from diffcomp.files.image_file import read_image
from diffcomp.files.pillow_packages import HEIC, JPEG_XL

MODES = {
    ".png": ("RGB", "L", "LA", "P", "RGBA", "I;16", "1"),
    ".jpg": ("RGB", "L", "CMYK"),
    ".tif": ("RGB", "L", "CMYK", "I;16", "F", "LAB", "1", "P"),
    ".webp": ("RGB", "RGBA"),
    ".bmp": ("RGB", "L", "1"),
    ".gif": ("P", "L"),
    ".ppm": ("RGB", "L", "1"),
    ".tga": ("RGB", "RGBA", "L"),
    ".jp2": ("RGB", "L"),
    ".avif": ("RGB", "RGBA"),
    ".heic": ("RGB",),
    ".jxl": ("RGB", "L"),
}


def whole_pictures() -> dict[str, list[bytes]]:
    """Small files by suffix, one of each mode that the format can be written in here."""
    for plugin in (HEIC, JPEG_XL):
        with contextlib.suppress(ImportError):
            plugin.enable()
    crop = Image.fromarray(skimage.data.astronaut()[70:110, 170:220])
    files: dict[str, list[bytes]] = {}
    for suffix, modes in MODES.items():
        for mode in modes:
            if mode in ("I;16", "F"):
                grey = np.asarray(crop.convert("L"))
                deep = grey.astype("u2") * 257 if mode == "I;16" else grey.astype("f4") / 255
                picture = Image.fromarray(deep)
            else:
                picture = crop.convert(mode) if mode != "LAB" else crop.convert("RGB")
            stream = io.BytesIO()
            try:
                picture.save(stream, Image.registered_extensions()[suffix])
            except (KeyError, OSError, ValueError):
                continue
            files.setdefault(suffix, []).append(stream.getvalue())
    return files


class Pictures:
    """A part of `fuzz_files`."""

    kinds: ClassVar = {"damaged": {"refused", "read"}, "forged": {"refused", "read"}}

    def __init__(self) -> None:
        self._files = whole_pictures()

    def case(self, kind: str, random_: random.Random) -> dict[str, bytes]:
        suffix = random_.choice(list(self._files))
        change = damaged if kind == "damaged" else overwritten
        return {f"case{suffix}": change(random_, self._files[suffix])}

    def attempt(self, folder: Path) -> str:
        (path,) = folder.iterdir()
        try:
            with warnings.catch_warnings(record=True) as shown:
                pixels = read_image(path, (255, 255, 255), max_pixels=2**24).pixels
        except ImageError:
            return "refused"
        finally:
            if shown:
                raise AssertionError(f"shows a warning: {shown[0].message}")
        right = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
        return "read" if right else f"pixels {pixels.dtype} {pixels.shape}"
