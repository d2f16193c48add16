"""A model beside other codecs of as many bytes, picture by picture: a CSV and a card's table.

Means say nothing of pictures that a codec fails on, and curves of them are often not monotone, so
each picture stands alone: the model's file at one quality, and of every other codec the file that
is nearest in bytes.
"""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from diffcomp.evaluation.row_file import FIXED, TIMES
from diffcomp.evaluation.rows import Row, quality_text
from diffcomp.files import atomic_file
from diffcomp.files.atomic_file import FileError

# What the table shows, and how; one that an evaluation lacks is left out.
_SHOWN = {"psnr": "{:.1f} dB", "lpips_alex": "LPIPS {:.3f}", "flat_colour": "Delta E {:.1f}"}

Line = list[Row]  # of one picture: the model's row, then one of every other codec


def read_rows(folder: Path) -> list[Row]:
    """The rows of an evaluation's folder; raises FileError if there are none to be read."""
    path = folder / "rows.csv"
    with atomic_file.errors_name(path):
        text = path.read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    known = {*FIXED, *TIMES, "pixels_crc"}
    try:
        metrics = [name for name in lines[0] if name not in known]
        return [Row.from_cells(cells, metrics) for cells in lines]
    except (IndexError, KeyError, ValueError) as error:
        raise FileError(f"{path}: holds no rows of an evaluation: {error!r}") from error


def equal_bytes(rows: Sequence[Row], model: str, quality: float) -> list[Line]:
    """Of each picture the model's row, and of every other codec the one nearest in bytes.

    Nearest by the ratio of the sizes. Raises ValueError, naming what there is, if the model has no
    row at that quality.
    """
    codecs = list(dict.fromkeys(row.codec for row in rows))
    own = [row for row in rows if row.codec == model and row.quality == quality]
    if not own:
        known = {f"{r.codec} at {quality_text(r.quality)}" for r in rows}
        raise ValueError(
            f"there is no row of {model} at quality {quality:g}; there are: "
            f"{', '.join(sorted(known))}."
        )
    lines = []
    for row in own:
        others = [[r for r in rows if (r.image, r.codec) == (row.image, c)] for c in codecs]
        nearest = [
            min(ladder, key=lambda other: abs(math.log(other.bytes / row.bytes)))
            for codec, ladder in zip(codecs, others, strict=True)
            if codec != model and ladder
        ]
        lines.append([row, *nearest])
    return lines


def write_csv(lines: Sequence[Line], path: Path) -> None:
    """The rows of all lines, without times; raises FileError where nothing can be written."""
    metrics = list(lines[0][0].metrics)
    columns = [name for name in FIXED if name != "protocol"] + metrics
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.cells() for line in lines for row in line)
    atomic_file.write_bytes(path, text.getvalue().encode(), overwrite=True)


def markdown(lines: Sequence[Line]) -> str:
    """The table of a model's card: a row per picture, a column per codec."""
    codecs = list(dict.fromkeys(row.codec for line in lines for row in line))
    own = lines[0][0]
    text = [
        f"| picture | {own.codec}, quality {quality_text(own.quality)} | "
        + " | ".join(codecs[1:])
        + " |",
        "|---" * (len(codecs) + 1) + "|",
    ]
    for line in lines:
        cells = {row.codec: _cell(row) for row in line}
        cells = [cells.get(codec, "none") for codec in codecs]
        text.append(f"| {line[0].image} | {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


def _cell(row: Row) -> str:
    """The size and the figures of a file."""
    shown = [f"{row.bytes / 1000:.1f} kB"]
    for name, form in _SHOWN.items():
        value = row.metrics.get(name)
        if value is not None:
            shown.append("exact" if math.isinf(value) else form.format(value))
    return ", ".join(shown)
