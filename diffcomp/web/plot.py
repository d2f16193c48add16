"""The page's plot of rate and distortion: SVG that keeps its text's size at any width."""

import html
import math
from collections.abc import Sequence

from diffcomp.web.figures import Point

COLOURS = ("#f97316", "#2563eb", "#16a34a")
STYLE = """
#plot:has(svg) { padding: 1em 1em 3.5em 4.5em; }
#plot svg { display: block; overflow: visible; width: 100%; height: 200px; }
#plot text { fill: currentColor; font-size: 12px; }
#plot line { stroke: currentColor; stroke-opacity: 0.15; }
"""
HEADROOM = 0.2  # of the largest rate, to its right
MARGIN = 0.5  # dB, at least, above and below the points
TICKS = 5  # of an axis, about


def plotted(points: Sequence[Point]) -> str:
    """Points -> HTML; nothing for none. The rate starts at 0, PSNR near the least."""
    if not points:
        return ""
    rates = _ticks(0.0, (1 + HEADROOM) * max(p.bpp for p in points))
    distortions = [p.psnr for p in points]
    ratios = _ticks(min(distortions) - MARGIN, max(distortions) + MARGIN)
    codecs = sorted({p.codec for p in points}, key=[p.codec for p in points].index)
    parts = [
        *_grid(rates, ratios),
        *(_dot(p, rates, ratios, COLOURS[codecs.index(p.codec) % len(COLOURS)]) for p in points),
        *_legend(codecs),
    ]
    return f'<svg role="img" aria-label="Rate and distortion">{"".join(parts)}</svg>'


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers in equal steps, the first at or below `low`, the last at or above `high`."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * n, 10) for n in range(first, last + 1)]


def _share(value: float, ticks: list[float]) -> float:
    """Where a value stands on an axis, in per cent of its length."""
    return 100 * (value - ticks[0]) / (ticks[-1] - ticks[0])


def _grid(rates: list[float], ratios: list[float]) -> list[str]:
    parts = []
    for value in rates:
        x = _share(value, rates)
        parts.append(f'<line x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="100%"/>')
        parts.append(_text(f"{value:g}", f"{x:.2f}%", "100%", 0, 18, "middle"))
    for value in ratios:
        y = 100 - _share(value, ratios)
        parts.append(f'<line x1="0" x2="100%" y1="{y:.2f}%" y2="{y:.2f}%"/>')
        parts.append(_text(f"{value:g}", "0", f"{y:.2f}%", -8, 4, "end"))
    parts.append(_text("bits per pixel", "50%", "100%", 0, 38, "middle"))
    parts.append(
        '<g style="transform: translate(-46px, 50%) rotate(-90deg)">'
        f"{_text('PSNR (dB)', '0', '0', 0, 0, 'middle')}</g>"
    )
    return parts


def _dot(point: Point, rates: list[float], ratios: list[float], colour: str) -> str:
    name = html.escape(f"{point.codec}: {point.bpp:.3f} bpp, {point.psnr:.2f} dB")
    return (
        f'<circle cx="{_share(point.bpp, rates):.2f}%" cy="{100 - _share(point.psnr, ratios):.2f}%"'
        f' r="5" fill="{colour}"><title>{name}</title></circle>'
    )


def _legend(codecs: list[str]) -> list[str]:
    parts = []
    for number, codec in enumerate(codecs):
        y = 16 + 18 * number
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<rect x="8" y="{y - 9}" width="10" height="10" rx="5" fill="{colour}"/>')
        parts.append(_text(codec, "0", "0", 24, y, "start"))
    return parts


def _text(text: str, x: str, y: str, dx: int, dy: int, anchor: str) -> str:
    """Text at a place, and so many pixels to the right of and below it."""
    place = f'x="{x}" y="{y}" dx="{dx}" dy="{dy}" text-anchor="{anchor}"'
    return f"<text {place}>{html.escape(text)}</text>"
