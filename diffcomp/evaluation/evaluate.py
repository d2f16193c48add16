"""An evaluation from its configuration to its files: rows, summary, plots, report."""

import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from diffcomp.data.image_sources import counted
from diffcomp.evaluation import (
    plots,
    published,
    report,
    runner,
    set_distances,
    summary,
    summary_files,
)
from diffcomp.evaluation.baselines import baseline_candidate
from diffcomp.evaluation.candidates import Candidate, model_candidates
from diffcomp.evaluation.columns import definitions, label
from diffcomp.evaluation.image_sets import ImageSet, open_images
from diffcomp.evaluation.metrics import catalogue
from diffcomp.evaluation.protocols import get_protocol
from diffcomp.evaluation.row_file import RowFile, Settings
from diffcomp.evaluation.rows import quality_text
from diffcomp.evaluation.summary import Summary

ALL = "all"


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """Meaning, unit and default of every field stand in `configs/evaluate_kodak.py`."""

    images: tuple[str, ...]
    protocol: str
    models: tuple[str, ...]
    qualities: tuple[float, ...]
    realisms: tuple[float, ...]
    steps: tuple[int, ...]
    gammas: tuple[float, ...]
    seed: int
    baselines: tuple[str, ...]
    metrics: tuple[str, ...]
    set_metrics: tuple[str, ...]
    inception: str
    anchor: str
    published: bool
    linear_rate: bool
    workers: int
    report_images: int
    report_megabytes: float
    out: str


def evaluate(config: EvaluateConfig, restart: bool = False, progress: bool = True) -> Summary:
    """Measures what is missing in `config.out` and writes all outputs there.

    Raises ValueError, ImportError or OSError, before anything is measured, for what cannot be
    done as asked; FileError if the folder has rows of other settings and not `restart`.
    """
    protocol = get_protocol(config.protocol)
    names = chosen_metrics(config.metrics)
    _check_numbers(config)
    set_distances.check(config.set_metrics, config.inception)
    images = open_images(config.images, protocol)
    candidates = make_candidates(config)
    anchor = _anchor(config.anchor, candidates)
    workers = config.workers or os.cpu_count() or 1
    out = Path(config.out)
    settings = Settings(protocol.name, tuple(names), {c.name: c.settings for c in candidates})
    rows = RowFile(out, settings, restart)
    measured = runner.run(images, candidates, names, rows, workers, progress)
    chosen = {key: row for key, row in rows.rows.items() if key[0] in measured}
    sets, set_notes = set_distances.compare_sets(images, candidates, config, rows)
    points = summary.summarize(chosen, {c.name: c.qualities for c in candidates}, names, sets)
    quoted = published.load(protocol.name) if config.published else []
    compared = [*names, *config.set_metrics]
    patches = ("patches",) if config.set_metrics else ()
    found = Summary(
        protocol=protocol,
        columns=(*summary.MEANS, *compared, *patches, *summary.TIMES),
        points=tuple(points),
        rates=tuple(summary.bd_rates(points, compared, anchor)),
        anchor=anchor,
        definitions=definitions(names, config.set_metrics, workers),
        candidates=settings.candidates,
        notes=(*_notes(config, images, measured, rows, points, len(quoted)), *set_notes),
    )
    summary_files.write(found, out)
    plots.draw(found, quoted, out / "plots", config.linear_rate)
    report.write(found, quoted, images, candidates, chosen, config, out)
    return found


def chosen_metrics(chosen: Sequence[str]) -> list[str]:
    """Names of metrics, "all" standing for all; raises ValueError for another name."""
    for name in chosen:
        if name != ALL and name not in catalogue.METRICS:
            known = ", ".join((ALL, *catalogue.METRICS))
            raise ValueError(f"metric is {name!r}; it must be one of: {known}.")
    return list(catalogue.METRICS) if ALL in chosen else list(dict.fromkeys(chosen))


def make_candidates(config: EvaluateConfig) -> list[Candidate]:
    """Models first, then baselines; raises ValueError if there is none or two have one name."""
    candidates = [
        candidate
        for model in config.models
        for candidate in model_candidates(
            model, config.qualities, config.realisms, config.steps, config.gammas, config.seed
        )
    ]
    candidates += [baseline_candidate(text) for text in config.baselines]
    names = [candidate.name for candidate in candidates]
    if not candidates:
        raise ValueError("Neither a model nor a baseline is given.")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"Two codecs are called {name!r}; their rows could not be told apart.")
    return candidates


def _check_numbers(config: EvaluateConfig) -> None:
    if config.models and not (config.qualities and config.realisms):
        raise ValueError("A model needs at least one quality and one realism.")
    for name in ("workers", "report_images", "report_megabytes"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be at least 0.")


def _anchor(name: str, candidates: Sequence[Candidate]) -> str:
    names = [candidate.name for candidate in candidates]
    if name and name not in names:
        raise ValueError(f"anchor is {name!r}; it must be one of: {', '.join(names)}.")
    return name or next((c.name for c in candidates if not c.is_model), names[0])


def _notes(
    config: EvaluateConfig,
    images: ImageSet,
    measured: Sequence[str],
    rows: RowFile,
    points: Sequence[summary.Point],
    quoted: int,
) -> list[str]:
    """What a reader of the figures must know beside their definitions."""
    protocol = images.protocol
    notes = []
    if protocol.images not in (None, len(measured)):
        notes.append(
            f"{len(measured)} of the {protocol.images} images of protocol {protocol.name}: "
            "figures of all of them will differ"
        )
    if images.left_out:
        notes.append(
            f"pictures in the folders that are not measured: {counted(images.left_out)};"
            " name a file to have it measured"
        )
    notes += summary.check_complete(points, len(measured))
    if config.published and not quoted:
        notes.append(f"no published figures are quoted for protocol {protocol.name}")
    reasons = Counter(
        (failure.codec, quality_text(failure.quality), failure.step, failure.reason)
        for failure in rows.failures
    )
    for (codec, quality, step, reason), count in reasons.items():
        notes.append(f"{codec} at quality {quality}: {step} failed on {count} image(s): {reason}")
    return notes


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
        table.add_row(point.codec, point.quality, *cells)
    console.print(table)
    for note in found.notes:
        console.print(f"Note: {note}", markup=False, highlight=False)
    console.print(f"Report: {Path(out) / 'report.html'}", markup=False, highlight=False)
