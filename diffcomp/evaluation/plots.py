"""Rate-distortion plots: a PNG and an SVG for each metric."""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from diffcomp.evaluation.columns import higher_is_better, label
from diffcomp.evaluation.published import QuotedPoint
from diffcomp.evaluation.summary import Summary
from diffcomp.files import atomic_file

# Okabe and Ito's colours, told apart also by the colour-blind; the models come first.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#555555")
MARKERS = "osD^vPX*"
LEGEND_WIDTH = 44  # characters of a line of a codec's settings
# Text stays text in an SVG, and two runs give the same file.
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "diffcomp",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(
    summary: Summary, quoted: Sequence[QuotedPoint], folder: Path, linear_rate: bool = False
) -> list[Path]:
    """Writes NAME.png and NAME.svg for each metric of which there is a curve."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in metric_columns(summary):
        with matplotlib.rc_context(_STYLE):
            figure = _figure(summary, quoted, name, linear_rate)
            for kind, options in (("png", {"dpi": 160}), ("svg", {"metadata": {"Date": None}})):
                file = io.BytesIO()
                figure.savefig(file, format=kind, bbox_inches="tight", **options)
                written.append(folder / f"{name}.{kind}")
                atomic_file.write_bytes(written[-1], file.getvalue(), overwrite=True)
    return written


def metric_columns(summary: Summary) -> list[str]:
    """The columns that have a curve: metrics, with at least one value."""
    skipped = {"bytes", "bpp", "patches", "encode_seconds", "decode_seconds"}
    return [
        column
        for column in summary.columns
        if column not in skipped and any(p.means.get(column) is not None for p in summary.points)
    ]


def quoted_curves(quoted: Sequence[QuotedPoint], name: str) -> dict[str, list[tuple[float, float]]]:
    """Codec -> (bits per pixel, value) by rate, of the codecs with a figure of this metric."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for point in quoted:
        if name in point.values:
            curves.setdefault(point.codec, []).append((point.bpp, point.values[name]))
    return {codec: sorted(points) for codec, points in curves.items()}


def _figure(
    summary: Summary, quoted: Sequence[QuotedPoint], name: str, linear_rate: bool
) -> Figure:
    figure = Figure(figsize=(7.2, 4.6))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for index, codec in enumerate(summary.candidates):
        if points := summary.curve(codec, name):
            axes.plot(
                *zip(*points, strict=True),
                color=COLORS[index % len(COLORS)],
                marker=MARKERS[index % len(MARKERS)],
                markersize=5,
                linewidth=1.6,
                label=f"{summary.marked(codec)}\n{_wrapped(summary.candidates[codec])}",
                zorder=3,
            )
    for index, (codec, points) in enumerate(quoted_curves(quoted, name).items()):
        axes.plot(
            *zip(*points, strict=True),
            color=COLORS[index % len(COLORS)],
            alpha=0.55,
            marker=MARKERS[index // len(COLORS) % len(MARKERS)],
            markersize=3.5,
            linewidth=1,
            linestyle="--",
            label=f"{codec} (quoted)",
        )
    _label(axes, summary, name, linear_rate)
    return figure


def _wrapped(settings: str) -> str:
    return textwrap.fill(settings, LEGEND_WIDTH)


def _label(axes: Axes, summary: Summary, name: str, linear_rate: bool) -> None:
    if not linear_rate:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("rate (bits per pixel)")
    arrow = "higher is better" if higher_is_better(name) else "lower is better"
    axes.set_ylabel(f"{label(name)}, {arrow}")
    images = max((point.images for point in summary.points), default=0)
    axes.set_title(f"protocol {summary.protocol.name}, mean of {images} images", fontsize=10)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(
        frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0
    )
