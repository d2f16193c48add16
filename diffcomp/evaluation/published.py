"""Figures that others published, quoted with their source; `published_results/README.md`."""

import csv
import dataclasses
from pathlib import Path

FOLDER = Path(__file__).parent / "published_results"
METRICS = ("psnr", "ms_ssim", "lpips_alex", "dists")


@dataclasses.dataclass(frozen=True)
class QuotedPoint:
    """A point of somebody's curve."""

    codec: str
    bpp: float
    values: dict[str, float]  # by metric, of METRICS
    source: str
    note: str


def load(protocol: str) -> list[QuotedPoint]:
    """The points quoted for a protocol, by codec and rate; none if the folder has no file of it."""
    path = FOLDER / f"{protocol}.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [
            QuotedPoint(
                codec=row["codec"],
                bpp=float(row["bpp"]),
                values={name: float(row[name]) for name in METRICS if row[name]},
                source=row["source"],
                note=row["note"],
            )
            for row in csv.DictReader(file)
        ]
