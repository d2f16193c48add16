"""The AVIF that takes about as many bytes as a `.dfc` file, but not more."""

import bisect
import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from diffcomp.evaluation.pillow_codecs import pillow_candidate


class EqualAvif(NamedTuple):
    """What Pillow wrote."""

    data: bytes
    quality: int  # Pillow's
    decoded: np.ndarray  # uint8 [H, W, 3]


def equal_avif(
    pixels: np.ndarray, limit: int, watch: Callable[[], None] = lambda: None
) -> EqualAvif | None:
    """uint8 [H, W, 3] -> the AVIF of the highest quality that takes at most `limit` bytes.

    Settings are those of the candidate `avif` of `diffcomp evaluate`. Bytes are taken to grow with
    quality, and what is returned has been measured. `watch` is called before each of the about
    seven encodings; what it raises ends the search. None if the lowest quality takes more.
    """
    candidate = pillow_candidate("avif")

    @functools.cache
    def coded(quality: int) -> bytes:
        watch()
        return candidate.encode(pixels, quality)

    quality = bisect.bisect_right(range(101), limit, key=lambda q: len(coded(q))) - 1
    if quality < 0:
        return None
    return EqualAvif(coded(quality), quality, candidate.decode(coded(quality)))
