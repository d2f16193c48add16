"""Formats that Pillow reads only by way of a further package, which need not be installed."""

import importlib
from typing import NamedTuple

from diffcomp.files.image_error import ImageError


class Plugin(NamedTuple):
    """A package that teaches Pillow a format."""

    format: str
    package: str  # on PyPI
    module: str
    register: str  # the function to call; nothing if importing the module is enough

    def enable(self) -> None:
        """Has Pillow read and write the format; raises ImportError without the package."""
        module = importlib.import_module(self.module)
        if self.register:
            getattr(module, self.register)()


HEIC = Plugin("HEIC", "pillow-heif", "pillow_heif", "register_heif_opener")
JPEG_XL = Plugin("JPEG XL", "pillow-jxl-plugin", "pillow_jxl", "")
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def enable_package(head: bytes) -> bool:
    """Has Pillow read the format of a file that starts like this, if it is one of these.

    Raises:
      ImageError: its package is not installed.
    """
    plugin = _plugin(head)
    if plugin is None:
        return False
    try:
        plugin.enable()
    except ImportError:
        raise ImageError(
            f"is a {plugin.format} picture, which needs a further package: pip install"
            f" {plugin.package}"
        ) from None
    return True


def _plugin(head: bytes) -> Plugin | None:
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return HEIC
    if head[:2] == b"\xff\x0a" or head[4:8] == b"JXL ":
        return JPEG_XL
    return None
