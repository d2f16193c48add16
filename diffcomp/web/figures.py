"""What the page says beside its pictures, as HTML and as points of a plot."""

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from diffcomp.web.jobs import Coded, OtherAvif


class Point(NamedTuple):
    """One file of a picture in the rate-distortion plane."""

    codec: str
    bpp: float
    psnr: float  # dB


def refusal(reason: object) -> str:
    """Why there is no result."""
    return f'<div class="refusal" role="alert">{html.escape(str(reason))}</div>'


def said(*lines: str) -> str:
    """Lines of a result."""
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines if line)


def coded_lines(coded: Coded, model: str, size: tuple[int, int], notes: Sequence[str]) -> str:
    """Of a picture of `size` (H, W) that `model` has coded; `notes`, of what reading changed."""
    quality = "" if coded.quality is None else f", quality {coded.quality:g}"
    error = "exact" if math.isinf(coded.psnr) else f"PSNR {coded.psnr:.2f} dB"
    compressed, decoded = coded.seconds
    return said(
        f"{model}: {len(coded.data):,} bytes, {coded.bpp:.3f} bpp",
        f"{error}{quality}",
        f"{size[1]} x {size[0]} pixels",
        f"compressed in {compressed:.1f} s, decoded in {decoded:.1f} s",
        "; ".join(notes),
    )


def avif_lines(found: OtherAvif | None, limit: int) -> str:
    """Of the AVIF of at most `limit` bytes."""
    if found is None:
        return said(f"AVIF: none is as small as {limit:,} bytes, at Pillow's quality 0 either")
    avif = found.avif
    return said(
        f"AVIF: {len(avif.data):,} bytes, {found.bpp:.3f} bpp",
        f"PSNR {found.psnr:.2f} dB, Pillow's quality {avif.quality}",
    )


def with_point(points: Sequence[Point], codec: str, bpp: float, psnr: float) -> list[Point]:
    """The points and a new one; of an identical picture, whose PSNR is infinite, there is none."""
    known = list(points)
    if math.isfinite(psnr):
        known.append(Point(codec, round(bpp, 4), round(psnr, 3)))
    return known
