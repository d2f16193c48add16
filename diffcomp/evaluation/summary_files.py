"""A summary as files: summary.csv, summary.json and bd_rate.csv."""

import csv
import dataclasses
import importlib.metadata
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffcomp.evaluation.summary import Summary
from diffcomp.files import atomic_file

_RATE_COLUMNS = ("bd_rate_percent", "from", "to", "overlap", "reason")


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
