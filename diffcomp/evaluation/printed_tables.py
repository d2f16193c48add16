"""A summary on stdout: means, Bjontegaard rates, notes."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from diffcomp.evaluation.columns import label
from diffcomp.evaluation.rate_comparison import WORST, RateComparison
from diffcomp.evaluation.summary import Summary


def print_summary(found: Summary, out: str) -> None:
    """The table on stdout."""
    table = Table(title=f"protocol {found.protocol.name}: {found.protocol.description}")
    columns = [c for c in found.columns if c != "bytes"]
    width = None if sys.stdout.isatty() else 60 + 14 * len(columns)
    console = Console(file=sys.stdout, width=width)
    for heading in ("codec", "quality", *map(label, columns)):
        table.add_column(
            heading, justify="left" if heading == "codec" else "right", overflow="fold"
        )
    for point in found.points:
        values = [point.means.get(column) for column in columns]
        cells = ["" if value is None else f"{value:.4g}" for value in values]
        table.add_row(found.marked(point.codec), point.quality, *cells)
    console.print(table)
    if found.rates:
        title = "Bjontegaard rates, 95 % intervals over the pictures"
        console.print(_rate_table(title, [("", rate) for rate in found.rates], found))
    if found.class_rates:
        console.print(_rate_table("The same by class of picture", found.class_rates, found))
    for name, settings in found.candidates.items():
        console.print(f"{name}: {settings}", markup=False, highlight=False)
    for note in (*found.warnings(), *found.notes):
        console.print(f"Note: {note}", markup=False, highlight=False)
    console.print(f"Report: {Path(out) / 'report.html'}", markup=False, highlight=False)


def _rate_table(title: str, rates: Sequence[tuple[str, RateComparison]], found: Summary) -> Table:
    """Rates by class, with their intervals; rates that there are none of say why."""
    table = Table(title=title)
    own = ["class"] if rates[0][0] else []
    heads = ("metric", "codec", "against", "rate", "interval", "verdict", "worst pictures")
    for heading in (*own, *heads):
        table.add_column(heading, overflow="fold")
    for name, rate in rates:
        percent, interval = rate.rate.percent, rate.interval
        low, high = interval.low, interval.high
        worst = ", ".join(f"{name} {value:+.0f} %" for name, value in rate.differences[:WORST])
        table.add_row(
            *([name] if own else []),
            label(rate.metric),
            found.marked(rate.codec),
            found.marked(rate.anchor),
            "none" if percent is None else f"{percent:+.1f} %",
            "" if low is None or high is None else f"{low:+.1f} to {high:+.1f} %",
            rate.rate.reason
            or interval.reason
            or f"{rate.verdict}: {rate.wins} of {rate.of} smaller, {rate.losses} larger",
            worst,
        )
    return table
