"""A summary as files: summary.csv and .json, and the rates in all, by class and by picture."""

import csv
import importlib.metadata
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffcomp.evaluation.rate_comparison import PERCENTILES, WORST, RateComparison
from diffcomp.evaluation.summary import Summary
from diffcomp.files import atomic_file

_RATE_COLUMNS = ("bd_rate_percent", "from", "to", "overlap", "reason")


def write(summary: Summary, folder: Path) -> None:
    """Writes all of them."""
    name = summary.protocol.name
    head = ("protocol", "codec", "settings", "quality", "images", *summary.columns, "notes")
    lines = [
        (
            name,
            p.codec,
            summary.candidates[p.codec],
            p.quality,
            p.images,
            *(_cell(p.means.get(c)) for c in summary.columns),
            "; ".join((*(["tuned on these"] if p.codec in summary.tuned else []), *p.notes)),
        )
        for p in summary.points
    ]
    _write_csv(folder / "summary.csv", head, lines)
    _write_rates(summary, folder)
    text = json.dumps(as_dict(summary), indent=1, ensure_ascii=False, allow_nan=False)
    atomic_file.write_bytes(folder / "summary.json", text.encode() + b"\n", overwrite=True)


def as_dict(summary: Summary) -> dict[str, Any]:
    """The summary in what JSON can hold."""
    return {
        "diffcomp": importlib.metadata.version("diffcomp"),
        "protocol": summary.protocol.name,
        "protocol_description": summary.protocol.description,
        "definitions": summary.definitions,
        "codecs": summary.candidates,
        "tuned": list(summary.tuned),
        "notes": [*summary.warnings(), *summary.notes],
        "points": [
            {"codec": p.codec, "quality": p.quality, "images": p.images, "notes": list(p.notes)}
            | p.means
            for p in summary.points
        ],
        "bd_rates": [
            rate_figures(rate)
            | {
                "worst": rate.differences[:WORST],
                "without": rate.without,
                "differences": rate.differences,
            }
            for rate in summary.rates
        ],
        "class_rates": [{"class": name} | rate_figures(rate) for name, rate in summary.class_rates],
    }


def rate_figures(rate: RateComparison) -> dict[str, Any]:
    """A comparison's figures by column."""
    found = rate.percentiles()
    return {
        "metric": rate.metric,
        "codec": rate.codec,
        "anchor": rate.anchor,
        "bd_rate_percent": rate.rate.percent,
        "low_percent": rate.interval.low,
        "high_percent": rate.interval.high,
        "verdict": rate.verdict,
        "pictures": rate.pictures,
        "of": rate.of,
        "wins": rate.wins,
        "losses": rate.losses,
        **{f"percentile_{p}": found.get(p) for p in PERCENTILES},
        "from": rate.rate.low,
        "to": rate.rate.high,
        "overlap": rate.rate.share,
        "reason": rate.rate.reason or rate.interval.reason,
    }


def _write_rates(summary: Summary, folder: Path) -> None:
    name = summary.protocol.name
    figures = [rate_figures(rate) for rate in summary.rates]
    head = list(figures[0]) if figures else ["metric", "codec", "anchor", "bd_rate_percent"]
    lines = [
        (
            name,
            *map(_cell, each.values()),
            summary.candidates[rate.codec],
            summary.candidates[rate.anchor],
            "; ".join(
                f"{picture} {percent:+.1f} %" for picture, percent in rate.differences[:WORST]
            ),
        )
        for each, rate in zip(figures, summary.rates, strict=True)
    ]
    _write_csv(
        folder / "bd_rate.csv", ("protocol", *head, "settings", "anchor_settings", "worst"), lines
    )
    if summary.class_rates:
        figures = [{"class": c} | rate_figures(rate) for c, rate in summary.class_rates]
        class_lines = [(name, *map(_cell, each.values())) for each in figures]
        _write_csv(folder / "class_rates.csv", ("protocol", *figures[0]), class_lines)
    picture_lines = [
        (name, rate.metric, rate.codec, rate.anchor, picture, *map(_cell, vars(alone).values()))
        for rate in summary.rates
        for picture, alone in rate.picture_rates
    ]
    picture_head = ("protocol", "metric", "codec", "anchor", "image", *_RATE_COLUMNS)
    _write_csv(folder / "picture_rates.csv", picture_head, picture_lines)


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.6g}"


def _write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([head, *rows])
    atomic_file.write_bytes(path, text.getvalue().encode(), overwrite=True)
