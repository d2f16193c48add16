"""The codecs that Pillow and its plugins write, each with all that its files depend on.

Defaults of these libraries move: Pillow's AVIF is tuned for SSIM up to 12.1 and for `iq` from 12.2
on, and its files depend on the number of threads. What a file depends on is therefore set here, and
stated with the versions of the libraries inside.
"""

import dataclasses
import functools
import importlib
import importlib.metadata
import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageFile, features

from diffcomp.evaluation.candidates import Candidate
from diffcomp.files import pillow_packages
from diffcomp.files.pillow_packages import Plugin

# Bytes that libjpeg may write at once. With optimised tables that is the whole file, for which
# Pillow gives one or two bytes a pixel: noise at 4:4:4 takes more, and could not be written.
ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, 2**26)


@dataclasses.dataclass(frozen=True)
class PillowFormat:
    """How Pillow writes a format."""

    format: str  # Pillow's name of it
    options: Mapping[str, Any]
    stated: str  # the options in words
    ladder: tuple[int, ...]
    suffix: str
    feature: str = ""  # of Pillow's build, that may be missing
    plugin: Plugin | None = None  # that teaches Pillow the format
    versions: Callable[[], str] = str  # of the libraries inside, in words; none if empty
    bounds: tuple[int, int] = (0, 100)  # of the qualities
    bounds_reason: str = ""


def _jpeg_versions() -> str:
    turbo = features.version_feature("libjpeg_turbo")
    return f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version('jpg')}"


def _webp_versions() -> str:
    return f"libwebp {features.version('webp')}"


def _avif_versions() -> str:
    from PIL import _avif  # only here does Pillow say which encoder it was built with

    encoder = re.search(r"aom \[[a-z/]*enc[a-z/]*\]:([^,]+)", _avif.codec_versions())
    return f"libavif {features.version('avif')}, aom {encoder[1] if encoder else 'unknown'}"


def _heif_versions() -> str:
    info = importlib.import_module("pillow_heif").libheif_info()
    return f"libheif {info['libheif']}, {info['encoders'].get('x265', info['HEIF'])}"


def _jpeg(subsampling: str) -> PillowFormat:
    return PillowFormat(
        "JPEG",
        {"optimize": True, "subsampling": subsampling},
        f"optimised Huffman tables, {subsampling}",
        (5, 10, 20, 35, 60),
        ".jpg",
        feature="jpg",
        versions=_jpeg_versions,
    )


def _avif(tune: str, subsampling: str = "4:2:0") -> PillowFormat:
    return PillowFormat(
        "AVIF",
        {
            "codec": "aom",
            "speed": 4,
            "subsampling": subsampling,
            "max_threads": 1,
            "advanced": {"tune": tune},
        },
        f"tune {tune}, speed 4, {subsampling}, 1 thread",
        (8, 22, 35, 48, 60),
        ".avif",
        feature="avif",
        versions=_avif_versions,
    )


def _heic(chroma: int) -> PillowFormat:
    return PillowFormat(
        "HEIF",
        {"chroma": chroma},
        "4:2:0" if chroma == 420 else "4:4:4",
        (10, 18, 26, 35, 44),
        ".heic",
        plugin=pillow_packages.HEIC,
        versions=_heif_versions,
    )


# Up to this quality libjxl halves the picture; files of the next quality are often smaller.
_JXL_LAST_HALVED = 18


def _jxl(stated: str, ladder: tuple[int, ...], bounds: tuple[int, int]) -> PillowFormat:
    return PillowFormat(
        "JXL",
        # The plugin packs the file of a picture opened from a JPEG, whatever its pixels are now.
        {"effort": 7, "lossless_jpeg": False},
        f"effort 7, XYB at {stated} resolution",
        ladder,
        ".jxl",
        plugin=pillow_packages.JPEG_XL,
        bounds=bounds,
        bounds_reason=f"up to {_JXL_LAST_HALVED} the picture is coded at half its size (jxl-half), "
        "from there on at its full size (jxl), and 100 is without loss, which the plugin refuses",
    )


PILLOW_FORMATS = {
    "jpeg": _jpeg("4:2:0"),
    "jpeg444": _jpeg("4:4:4"),
    "webp": PillowFormat(
        "WEBP",
        {"method": 6},
        "method 6, 4:2:0 (the format has no other)",
        (0, 10, 30, 55, 75),
        ".webp",
        feature="webp",
        versions=_webp_versions,
    ),
    "avif": _avif("iq"),
    "avif-psnr": _avif("psnr"),
    "avif-ssim": _avif("ssim"),
    "avif444": _avif("iq", "4:4:4"),
    "heic": _heic(420),
    "heic444": _heic(444),
    "jxl": _jxl("full", (19, 30, 45, 60, 75), (_JXL_LAST_HALVED + 1, 99)),
    "jxl-half": _jxl("half", (0, 5, 9, 14, 18), (0, _JXL_LAST_HALVED)),
}


def pillow_candidate(name: str, qualities: tuple[int, ...] = ()) -> Candidate:
    """The candidate `name` of PILLOW_FORMATS, with its usual qualities if none are given.

    Raises ImportError naming the package to install, or what this build lacks, and ValueError for a
    quality out of the format's bounds.
    """
    kind = PILLOW_FORMATS[name]
    package = kind.plugin.package if kind.plugin else "pillow"
    if kind.plugin:
        try:
            kind.plugin.enable()
        except ImportError as error:
            raise ImportError(
                f"Baseline {name} needs the package {package}: pip install {package}"
            ) from error
    if kind.feature and not features.check(kind.feature):
        raise ImportError(f"Baseline {name}: this build of Pillow has no {kind.format}.")
    _check_qualities(name, kind, qualities)
    versions = kind.versions()
    built_with = f" ({versions})" if versions else ""
    built = f"{package} {importlib.metadata.version(package)}{built_with}"
    _check_options(name, kind, built)
    return Candidate(
        name=name,
        settings=f"{kind.format} by {built}, {kind.stated}",
        qualities=qualities or kind.ladder,
        encode=functools.partial(_save, kind),
        decode=_open,
        suffix=kind.suffix,
        is_model=False,
    )


def _check_qualities(name: str, kind: PillowFormat, qualities: tuple[int, ...]) -> None:
    low, high = kind.bounds
    for quality in qualities:
        if not low <= quality <= high:
            reason = kind.bounds_reason and f": {kind.bounds_reason}"
            raise ValueError(
                f"quality of {name} is {quality}; it must be in [{low}, {high}]{reason}."
            )


def _check_options(name: str, kind: PillowFormat, built: str) -> None:
    """An option that a build does not know is found before anything is measured."""
    try:
        _save(kind, np.zeros((16, 16, 3), np.uint8), kind.ladder[0])
    except (ValueError, RuntimeError, OSError) as error:
        raise ImportError(f"Baseline {name}: {built} refuses {kind.stated}: {error}") from error


def _save(kind: PillowFormat, image: np.ndarray, quality: float) -> bytes:
    file = io.BytesIO()
    # The plugins refuse floats, also whole ones.
    Image.fromarray(image).save(file, kind.format, quality=int(quality), **kind.options)
    return file.getvalue()


def _open(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGB"))
