"""The usual codecs as candidates: by Pillow and its plugins, or by programs on the PATH.

Each writes real files, header included, at a ladder of qualities from about 0.1 to 1.2 bits per
pixel of a photograph. Colour is sampled as the settings say: most of these formats halve it in both
directions (4:2:0) unless asked otherwise.
"""

import dataclasses
import functools
import importlib
import importlib.metadata
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, features

from diffcomp.evaluation import program_codecs
from diffcomp.evaluation.candidates import Candidate


@dataclasses.dataclass(frozen=True)
class PillowFormat:
    """How Pillow writes a format."""

    format: str  # Pillow's name of it
    package: str  # on PyPI
    module: str  # that teaches Pillow the format when it is imported
    options: Mapping[str, Any]
    stated: str  # the options in words
    ladder: tuple[float, ...]
    suffix: str
    feature: str = ""  # of Pillow's build, that may be missing
    register: str = ""  # function of the module to be called once


_JPEG = PillowFormat(
    "JPEG",
    "pillow",
    "PIL",
    {"optimize": True, "subsampling": "4:2:0"},
    "optimised Huffman tables, 4:2:0",
    (5, 10, 20, 35, 60),
    ".jpg",
    feature="jpg",
)
_AVIF = PillowFormat(
    "AVIF",
    "pillow",
    "PIL",
    {"speed": 4, "subsampling": "4:2:0"},
    "speed 4, 4:2:0",
    (8, 22, 35, 48, 60),
    ".avif",
    feature="avif",
)
_HEIC = PillowFormat(
    "HEIF",
    "pillow-heif",
    "pillow_heif",
    {"chroma": 420},
    "4:2:0",
    (10, 18, 26, 35, 44),
    ".heic",
    register="register_heif_opener",
)
PILLOW_FORMATS = {
    "jpeg": _JPEG,
    "jpeg444": dataclasses.replace(
        _JPEG,
        options={"optimize": True, "subsampling": "4:4:4"},
        stated="optimised Huffman tables, 4:4:4",
    ),
    "webp": PillowFormat(
        "WEBP",
        "pillow",
        "PIL",
        {"method": 6},
        "method 6, 4:2:0 (the format has no other)",
        (0, 10, 30, 55, 75),
        ".webp",
        feature="webp",
    ),
    "avif": _AVIF,
    "avif444": dataclasses.replace(
        _AVIF, options={"speed": 4, "subsampling": "4:4:4"}, stated="speed 4, 4:4:4"
    ),
    "heic": _HEIC,
    "heic444": dataclasses.replace(_HEIC, options={"chroma": 444}, stated="4:4:4"),
    "jxl": PillowFormat(
        "JXL",
        "pillow-jxl-plugin",
        "pillow_jxl",
        {"effort": 7},
        "effort 7, XYB at full resolution",
        (0, 15, 40, 60, 75),
        ".jxl",
    ),
}
BASELINES = (*PILLOW_FORMATS, *program_codecs.PROGRAM_CODECS)


def baseline_candidate(text: str) -> Candidate:
    """A candidate from NAME, or NAME=QUALITY/QUALITY/... for another ladder than the usual.

    Raises ValueError for a name or quality that does not exist, ImportError naming the package to
    install, and FileNotFoundError naming the program that is not on the PATH.
    """
    name, _, ladder = text.partition("=")
    if name not in BASELINES:
        raise ValueError(f"baseline is {name!r}; it must be one of: {', '.join(BASELINES)}.")
    if name in PILLOW_FORMATS:
        candidate = _pillow_candidate(name, PILLOW_FORMATS[name])
    else:
        candidate = program_codecs.program_candidate(name)
    return dataclasses.replace(candidate, qualities=_qualities(ladder)) if ladder else candidate


def _qualities(ladder: str) -> tuple[float, ...]:
    try:
        return tuple(int(quality) for quality in ladder.split("/"))
    except ValueError:
        raise ValueError(
            f"ladder is {ladder!r}; it must be whole numbers with slashes, such as 10/30/60."
        ) from None


def _pillow_candidate(name: str, kind: PillowFormat) -> Candidate:
    try:
        module = importlib.import_module(kind.module)
    except ImportError as error:
        raise ImportError(
            f"Baseline {name} needs the package {kind.package}: pip install {kind.package}"
        ) from error
    if kind.feature and not features.check(kind.feature):
        raise ImportError(f"Baseline {name}: this build of Pillow has no {kind.format}.")
    if kind.register:
        getattr(module, kind.register)()
    version = importlib.metadata.version(kind.package)
    return Candidate(
        name=name,
        settings=f"{kind.format} by {kind.package} {version}, {kind.stated}",
        qualities=kind.ladder,
        encode=functools.partial(_save, kind),
        decode=_open,
        suffix=kind.suffix,
        is_model=False,
    )


def _save(kind: PillowFormat, image: np.ndarray, quality: float) -> bytes:
    file = io.BytesIO()
    # The plugins refuse floats, also whole ones.
    Image.fromarray(image).save(file, kind.format, quality=int(quality), **kind.options)
    return file.getvalue()


def _open(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGB"))
