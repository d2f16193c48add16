"""One HTML file with curves, tables and pictures, that needs neither network nor other files."""

import base64
import contextlib
import html
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from diffcomp.evaluation import plots
from diffcomp.evaluation.candidates import Candidate
from diffcomp.evaluation.columns import higher_is_better, label
from diffcomp.evaluation.image_sets import ImageSet, NamedImage
from diffcomp.evaluation.measuring import stream_path
from diffcomp.evaluation.published import QuotedPoint
from diffcomp.evaluation.rows import Key, Row, quality_text, row_key
from diffcomp.evaluation.summary import Summary
from diffcomp.evaluation.summary_files import as_dict
from diffcomp.files import atomic_file

TEMPLATE = Path(__file__).parent / "report_template"
DISPLAY_QUALITY = 95  # of the WebP by which pictures are shown
BYTES_PER_MEGABYTE = 1_000_000

Rows = Mapping[Key, Row]
Rung = tuple[Candidate, float | None]


class Chosen(Protocol):
    """What is read of the configuration."""

    metrics: tuple[str, ...]
    report_images: int
    report_megabytes: float


def write(
    summary: Summary,
    quoted: Sequence[QuotedPoint],
    images: ImageSet,
    candidates: Sequence[Candidate],
    rows: Rows,
    config: Chosen,
    folder: Path,
) -> Path:
    """Writes report.html below `folder`; returns its path.

    Pictures are added image by image until the megabytes are used up: the original, then a rung of
    each model and the rung of each baseline that is nearest in bytes.
    """
    pictures, left_out = _pictures(images, candidates, rows, config, folder)
    data = as_dict(summary) | {
        "columns": [{"name": c, "label": label(c)} for c in summary.columns],
        "metrics": [
            {"name": name, "label": label(name), "higher": higher_is_better(name)}
            for name in plots.metric_columns(summary)
        ],
        "codecs": [
            {"name": candidate.name, "settings": candidate.settings, "model": candidate.is_model}
            for candidate in candidates
        ],
        "colors": list(plots.COLORS),
        "quoted": {n: plots.quoted_curves(quoted, n) for n in plots.metric_columns(summary)},
        "sources": sorted({f"{p.codec}: {p.source}" for p in quoted}),
        "pictures": pictures,
        "pictures_left_out": left_out,
        "display_quality": DISPLAY_QUALITY,
    }
    target = folder / "report.html"
    atomic_file.write_bytes(target, page(data).encode(), overwrite=True)
    return target


def page(data: Mapping[str, Any]) -> str:
    """The template with its style, its program and its data put in."""
    # In a script element only "<" could end the data early.
    text = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    filled = (TEMPLATE / "report.html").read_text(encoding="utf-8")
    parts = {
        "TITLE": html.escape(f"Evaluation, protocol {data['protocol']}"),
        "STYLE": (TEMPLATE / "report.css").read_text(encoding="utf-8"),
        "PROGRAM": (TEMPLATE / "report.js").read_text(encoding="utf-8"),
        "RATES": (TEMPLATE / "rates.js").read_text(encoding="utf-8"),
        "DATA": text,
    }
    for name, part in parts.items():  # the data last: they may hold any text
        filled = filled.replace(f"@@{name}@@", part)
    return filled


def _pictures(
    images: ImageSet, candidates: Sequence[Candidate], rows: Rows, config: Chosen, folder: Path
) -> tuple[list[dict[str, Any]], int]:
    """What the viewer shows, and how many pictures the limits left out."""
    names = list(dict.fromkeys(image for image, _, _ in rows))
    shown = names[: config.report_images]
    budget = config.report_megabytes * BYTES_PER_MEGABYTE
    pictures, used, left_out = [], 0, sum(1 for image, _, _ in rows if image not in shown)
    for image in images if shown else ():
        if image.name not in shown:
            continue
        share = budget * (len(pictures) + 1) / len(shown) - used
        picture, size, dropped = _picture(image, candidates, rows, share, folder)
        pictures.append(picture)
        used, left_out = used + size, left_out + dropped
        if len(pictures) == len(shown):
            break
    return pictures, left_out


def _picture(
    image: NamedImage, candidates: Sequence[Candidate], rows: Rows, share: float, folder: Path
) -> tuple[dict[str, Any], int, int]:
    """One image's entry, its size in the report, and how many decoded pictures it lacks."""
    original = _data_uri(image.pixels)
    size, decoded, dropped = len(original), [], 0
    for candidate, quality in rungs_to_show(image.name, candidates, rows):
        row = rows[_key(image.name, candidate, quality)]
        if size >= share:
            dropped += 1
            continue
        file = _file(image, candidate, quality, row, folder)
        if file is None:
            dropped += 1
            continue
        uri = _data_uri(candidate.decode(file))
        size += len(uri)
        decoded.append(
            {
                "codec": candidate.name,
                "quality": quality_text(row.quality),
                "row": _numbers(row),
                "uri": uri,
            }
        )
    order = [candidate.name for candidate in candidates]
    decoded.sort(key=lambda entry: (order.index(entry["codec"]), entry["row"]["bytes"]))
    height, width = image.pixels.shape[:2]
    entry = {"name": image.name, "width": width, "height": height, "uri": original}
    return entry | {"decoded": decoded}, size, dropped


def _file(
    image: NamedImage, candidate: Candidate, quality: float | None, row: Row, folder: Path
) -> bytes | None:
    """The file that a row measures. One that was deleted is written anew; None if it differs."""
    path = stream_path(folder, candidate, quality, image.name)
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    file = candidate.encode(image.pixels, quality)
    return file if len(file) == row.bytes else None


def rungs_to_show(name: str, candidates: Sequence[Candidate], rows: Rows) -> Iterator[Rung]:
    """The rungs of an image, the most wanted first.

    A model's middle quality, its lowest, its highest, then the others; after each, the rung of
    every other codec that is nearest in bytes, unless it came before. Then what is left.
    """
    ladders = {
        candidate.name: [
            (candidate, q) for q in candidate.qualities if _key(name, candidate, q) in rows
        ]
        for candidate in candidates
    }
    leading = [c for c in candidates if c.is_model and ladders[c.name]]
    leading = leading or [c for c in candidates if ladders[c.name]][:1]
    given = set()
    for rung in _by_importance(ladders[leading[0].name] if leading else []):
        size = rows[_key(name, *rung)].bytes
        nearest = [
            min(ladder, key=lambda other: abs(rows[_key(name, *other)].bytes - size))
            for codec, ladder in ladders.items()
            if ladder and codec != rung[0].name
        ]
        for chosen in (rung, *nearest):
            if _key(name, *chosen) not in given:
                given.add(_key(name, *chosen))
                yield chosen
    for ladder in ladders.values():
        yield from (rung for rung in ladder if _key(name, *rung) not in given)


def _by_importance(rungs: list[Rung]) -> list[Rung]:
    """Middle, first, last, then the others."""
    first = [len(rungs) // 2, 0, len(rungs) - 1]
    return [rungs[i] for i in dict.fromkeys((*first, *range(len(rungs)))) if 0 <= i < len(rungs)]


def _key(name: str, candidate: Candidate, quality: float | None) -> Key:
    return row_key(name, candidate.name, quality)


def _numbers(row: Row) -> dict[str, float]:
    """The figures of a row; empty and infinite ones are left out, as JSON has none."""
    values = row.figures().items()
    return {name: value for name, value in values if value is not None and np.isfinite(value)}


def _data_uri(pixels: np.ndarray) -> str:
    """uint8 [H, W, 3] as a WebP in text; PNG where a side is too long for WebP."""
    file = io.BytesIO()
    if max(pixels.shape) < 16384:
        kind = "webp"
        Image.fromarray(pixels).save(file, "WEBP", quality=DISPLAY_QUALITY)
    else:
        kind = "png"
        Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
