"""Formats that Pillow reads only by way of a further package, which need not be installed."""

import importlib
from typing import NamedTuple

from diffcomp.files.image_error import ImageError


class _Format(NamedTuple):
    name: str
    package: str
    module: str
    register: str  # the function to call; nothing if importing the module is enough


_HEIC = _Format("HEIC", "pillow-heif", "pillow_heif", "register_heif_opener")
_JPEG_XL = _Format("JPEG XL", "pillow-jxl-plugin", "pillow_jxl", "")
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def enable_package(head: bytes) -> bool:
    """Has Pillow read the format of a file that starts like this, if it is one of these.

    Raises:
      ImageError: its package is not installed.
    """
    found = _format(head)
    if found is None:
        return False
    try:
        plugin = importlib.import_module(found.module)
    except ImportError:
        raise ImageError(
            f"is a {found.name} picture, which needs a further package: pip install {found.package}"
        ) from None
    if found.register:
        getattr(plugin, found.register)()
    return True


def _format(head: bytes) -> _Format | None:
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return _HEIC
    if head[:2] == b"\xff\x0a" or head[4:8] == b"JXL ":
        return _JPEG_XL
    return None
