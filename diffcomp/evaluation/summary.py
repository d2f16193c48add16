"""Means over the images of each codec and quality, Bjontegaard rates, and what they mean."""

import csv
import dataclasses
import importlib.metadata
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffcomp.evaluation.bd_rate import METHOD, BdRate, bd_rate
from diffcomp.evaluation.metrics import catalogue
from diffcomp.evaluation.protocols import Protocol
from diffcomp.evaluation.row_file import TIMES, Row, quality_text
from diffcomp.files import atomic_file

MEANS = ("bytes", "bpp")


@dataclasses.dataclass(frozen=True)
class Point:
    """A codec at one quality: a row of the summary, a point of a curve."""

    codec: str
    quality: str
    images: int
    means: dict[str, float | None]  # by column; None if no image has a value
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Summary:
    """All that the outputs show, but pictures."""

    protocol: Protocol
    columns: tuple[str, ...]  # of `Point.means`
    points: tuple[Point, ...]
    rates: tuple[tuple[str, str, BdRate], ...]  # metric, codec
    anchor: str
    definitions: dict[str, str]
    candidates: dict[str, str]  # name -> settings
    notes: tuple[str, ...]

    def curve(self, codec: str, column: str) -> list[tuple[float, float]]:
        """(bits per pixel, mean) of a codec's points that have the column, by rate."""
        found = [p.means for p in self.points if p.codec == codec]
        return sorted((m["bpp"], m[column]) for m in found if m.get(column) is not None)


def mean_point(codec: str, quality: str, rows: Sequence[Row], columns: Sequence[str]) -> Point:
    """Each image weighs the same. Infinite and missing values are left out, and that is noted."""
    means, notes = {}, []
    for column in columns:
        values = np.array([float(row[column]) for row in rows if row[column]])
        finite = values[np.isfinite(values)]
        means[column] = float(finite.mean()) if len(finite) else None
        for count, what in ((len(rows) - len(values), "missing"), (len(values) - len(finite), "∞")):
            if count:
                notes.append(f"{column}: {count} of {len(rows)} images {what}, left out")
    return Point(codec, quality, len(rows), means, tuple(notes))


def summarize(
    rows: Mapping[tuple[str, str, str], Row],
    qualities: Mapping[str, Sequence[float]],
    names: Sequence[str],
    sets: Mapping[tuple[str, str], Mapping[str, float]],
) -> list[Point]:
    """The points of the codecs in `qualities`, in their order; `names` are of metrics.

    `sets` has the distances of whole sets by (codec, quality).
    """
    columns = (*MEANS, *names, *TIMES)
    points = []
    for codec, ladder in qualities.items():
        for quality in map(quality_text, ladder):
            chosen = [row for (_, *key), row in rows.items() if key == [codec, quality]]
            if chosen:
                point = mean_point(codec, quality, chosen, columns)
                extra = sets.get((codec, quality), {})
                points.append(dataclasses.replace(point, means=point.means | extra))
    return points


def bd_rates(
    points: Sequence[Point], names: Sequence[str], anchor: str
) -> list[tuple[str, str, BdRate]]:
    """The Bjontegaard rate of each codec but the anchor, for each metric."""
    codecs = list(dict.fromkeys(point.codec for point in points))
    rates = []
    for name in names:
        curves = {
            codec: [
                (p.means["bpp"], p.means[name])
                for p in points
                if p.codec == codec and p.means.get(name) is not None
            ]
            for codec in codecs
        }
        better = higher_is_better(name)
        rates += [
            (name, codec, bd_rate(curves.get(anchor, []), curves[codec], better))
            for codec in codecs
            if codec != anchor
        ]
    return rates


def higher_is_better(name: str) -> bool:
    """Of a metric's name; all distances between sets are better when lower."""
    return name in catalogue.METRICS and catalogue.METRICS[name].higher_is_better


def label(column: str) -> str:
    """A column's name for people, with its unit."""
    names = {
        "bytes": "bytes",
        "bpp": "rate (bpp)",
        "encode_seconds": "encode (s)",
        "decode_seconds": "decode (s)",
        "fid": "FID",
        "kid": "KID",
        "fd_vgg": "FD-VGG",
        "kd_vgg": "KD-VGG",
    }
    if column not in catalogue.METRICS:
        return names.get(column, column)
    text = catalogue.METRICS[column].label
    return f"{text} (dB)" if column == "psnr" and "dB" not in text else text


def definitions(names: Sequence[str], set_names: Sequence[str], workers: int) -> dict[str, str]:
    """What each figure is, in words."""
    texts = {
        "bytes": "size of the whole file, header included",
        "bpp": "8 * bytes / (width * height)",
    }
    for name in names:
        direction = "higher" if higher_is_better(name) else "lower"
        texts[name] = f"{label(name)} on 8-bit sRGB images, mean over images; {direction} is better"
    if "psnr" in names:
        texts["psnr"] += "; a mean of decibels, over the three channels alike"
    for name in set_names:
        texts[name] = f"{label(name)} between all decoded and all original images, 256x256 patches"
    texts |= {
        "encode_seconds": f"wall clock with {workers} job(s) at a time, compilation excluded",
        "decode_seconds": "as encode_seconds; for figures of time alone run with --workers 1",
        "bd_rate_percent": f"Bjontegaard rate by {METHOD} over the codecs' mean points; negative "
        "means smaller files than the anchor's at equal quality",
    }
    return texts


def write(summary: Summary, folder: Path) -> None:
    """summary.csv, summary.json and bd_rate.csv."""
    name = summary.protocol.name
    head = ("protocol", "codec", "quality", "images", *summary.columns, "notes")
    lines = [
        (
            name,
            p.codec,
            p.quality,
            p.images,
            *(_cell(p.means.get(c)) for c in summary.columns),
            "; ".join(p.notes),
        )
        for p in summary.points
    ]
    _write_csv(folder / "summary.csv", head, lines)
    rate_head = ("protocol", "anchor", "metric", "codec", *_RATE_COLUMNS)
    rate_lines = [
        (name, summary.anchor, metric, codec, *map(_cell, dataclasses.astuple(rate)))
        for metric, codec, rate in summary.rates
    ]
    _write_csv(folder / "bd_rate.csv", rate_head, rate_lines)
    text = json.dumps(as_dict(summary), indent=1, ensure_ascii=False, allow_nan=False)
    atomic_file.write_bytes(folder / "summary.json", text.encode() + b"\n", overwrite=True)


_RATE_COLUMNS = ("bd_rate_percent", "from", "to", "overlap", "reason")


def as_dict(summary: Summary) -> dict[str, Any]:
    """The summary in what JSON can hold."""
    return {
        "diffcomp": importlib.metadata.version("diffcomp"),
        "protocol": summary.protocol.name,
        "protocol_description": summary.protocol.description,
        "definitions": summary.definitions,
        "codecs": summary.candidates,
        "notes": list(summary.notes),
        "points": [
            {"codec": p.codec, "quality": p.quality, "images": p.images, "notes": list(p.notes)}
            | p.means
            for p in summary.points
        ],
        "anchor": summary.anchor,
        "bd_rates": [
            {"metric": metric, "codec": codec}
            | dict(zip(_RATE_COLUMNS, dataclasses.astuple(rate), strict=True))
            for metric, codec, rate in summary.rates
        ],
    }


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.6g}"


def _write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([head, *rows])
    atomic_file.write_bytes(path, text.getvalue().encode(), overwrite=True)


def check_complete(points: Sequence[Point], expected: int) -> list[str]:
    """A sentence for each point that lacks images, of which another has `expected`."""
    return [
        f"{p.codec} at quality {p.quality or 'of its own'} has {p.images} of {expected} images"
        for p in points
        if p.images < expected
    ]
