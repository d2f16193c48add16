"""A wished size or distance: the quality code at which a picture comes nearest, by search.

Bytes grow with quality, PSNR too, and LPIPS falls, up to a code here and there; the search takes
each for monotone, and what it returns has been measured.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from diffcomp.codec_inputs import as_pixels
from diffcomp.coding.quality import CODES, DEFAULT_QUALITY, code_to_quality, quality_to_code
from diffcomp.distances.distortion import bpp, psnr
from diffcomp.tiling import Progress

if TYPE_CHECKING:
    from diffcomp.codec import Codec

KINDS = ("bytes", "bpp", "psnr", "lpips")
# Codes above the answer that are tried too, where bytes may not grow.
LOOK_AHEAD = 2
# Of a search, about: what `progress` counts on.
TYPICAL_CODINGS = 8
# By how much the logarithm of the bytes grows from code to code, about: the first guess.
GROWTH = 0.011


@dataclasses.dataclass(frozen=True)
class Target:
    """What is wished for: at most `bytes` or `bpp`, at least `psnr` in dB, at most `lpips`.

    psnr and lpips (AlexNet) are those of the picture that `decompress` gives by default.
    """

    kind: str
    value: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"target is {self.kind!r}; it must be one of {', '.join(KINDS)}.")
        if not 0 < self.value < math.inf:
            raise ValueError(f"target of {self.kind} is {self.value}; it must be above 0.")


class Found(NamedTuple):
    """The file that comes nearest to a target on the right side."""

    data: bytes
    quality: float
    value: float  # in the target's unit


class OutOfReach(ValueError):
    """No quality of the model meets the target; the text says the nearest."""


def compress_to(
    codec: "Codec",
    image: Any,
    target: Target,
    effort: int = 0,
    progress: Progress | None = None,
) -> Found:
    """The best file of at most a size, or the smallest that is good enough.

    Codes the picture some five to ten times; psnr and lpips decode it as often. `image` and
    `effort` as for `Codec.compress`. `progress` is told before each coding, and of the tiles of
    each, of how far the search is if it takes TYPICAL_CODINGS.

    Raises OutOfReach, and ValueError for a model of one rate or what `compress` refuses.
    """
    if codec.one_rate:
        raise ValueError(f"model {codec.model.name!r} has one rate; it can meet no target.")

    pixels, codings = as_pixels(image), itertools.count()

    @functools.cache
    def measured(code: int) -> Found:
        quality = code_to_quality(code)
        told = None
        if progress is not None:
            told = functools.partial(_tell, progress, next(codings))
            told(0, 1)
        data = codec.compress(pixels, quality, effort=effort, progress=told)
        return Found(data, quality, _value(codec, pixels, data, target.kind))

    if target.kind in ("bytes", "bpp"):
        return _largest_within(measured, target)
    return _first_good_enough(measured, target)


def _tell(progress: Progress, coding: int, done: int, total: int) -> None:
    """Of the tiles of all codings."""
    progress(coding * total + done, TYPICAL_CODINGS * total)


def _value(codec: "Codec", image: np.ndarray, data: bytes, kind: str) -> float:
    if kind == "bytes":
        return len(data)
    if kind == "bpp":
        return bpp(len(data), *image.shape[:2])
    decoded = codec.decompress(data)
    if kind == "psnr":
        return psnr(decoded, image)
    from diffcomp.distances.lpips import lpips_of_images

    return lpips_of_images("alex", decoded, image)


def _largest_within(measured: Callable[[int], Found], target: Target) -> Found:
    """The file with the most bytes within the target."""
    start = quality_to_code(DEFAULT_QUALITY)
    start += round(math.log(target.value / measured(start).value) / GROWTH)
    last = _last_where(lambda code: measured(code).value <= target.value, start)
    if last < 0:
        raise OutOfReach(
            f"target is {target.value:.6g} {target.kind}; the least, at quality"
            f" {code_to_quality(0):g}, is {measured(0).value:.6g}."
        )
    nearby = [measured(code) for code in range(last, min(last + LOOK_AHEAD + 1, CODES))]
    return max((f for f in nearby if f.value <= target.value), key=lambda found: found.value)


def _first_good_enough(measured: Callable[[int], Found], target: Target) -> Found:
    """The file of the lowest quality that meets a target of distance."""
    sign = 1 if target.kind == "psnr" else -1

    def short(code: int) -> bool:
        return sign * measured(code).value < sign * target.value

    code = _last_where(short, quality_to_code(DEFAULT_QUALITY)) + 1
    if code == CODES:
        raise OutOfReach(
            f"target is {target.kind} {target.value:.6g}; the best, at quality"
            f" {code_to_quality(CODES - 1):g}, is {measured(CODES - 1).value:.6g}."
        )
    return measured(code)


def _last_where(holds: Callable[[int], bool], start: int) -> int:
    """The last code of those where `holds`, which come first; -1 if there is none.

    Strides from `start` grow until the answer lies between two codes; then they are halved.
    """
    low, high = -1, CODES
    code, stride = min(max(start, 0), CODES - 1), 4
    while high - low > 1:
        if holds(code):
            low = code
            code = min(low + stride, (low + high) // 2 if high < CODES else CODES - 1)
        else:
            high = code
            code = max(high - stride, (low + high) // 2 if low >= 0 else 0)
        stride *= 2
    return low
