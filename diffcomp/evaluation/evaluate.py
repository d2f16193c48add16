"""An evaluation from its configuration to its files: rows, summary, plots, report."""

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from diffcomp.coding.quality import quality_to_code
from diffcomp.data.image_sources import counted
from diffcomp.decode_settings import DecodeSettings
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
from diffcomp.evaluation.columns import definitions
from diffcomp.evaluation.external_codecs import external_candidates
from diffcomp.evaluation.image_sets import ImageSet, open_images
from diffcomp.evaluation.metrics import catalogue
from diffcomp.evaluation.protocols import get_protocol
from diffcomp.evaluation.row_cache import RowCache
from diffcomp.evaluation.row_file import RowFile, Settings
from diffcomp.evaluation.rows import quality_text
from diffcomp.evaluation.summary import Summary
from diffcomp.usage import UsageError, usage_errors

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
    realism_0_metrics: tuple[str, ...]
    seed: int
    baselines: tuple[str, ...]
    external: str
    metrics: tuple[str, ...]
    set_metrics: tuple[str, ...]
    inception: str
    anchor: str
    published: bool
    linear_rate: bool
    workers: int
    cache: str
    report_images: int
    report_megabytes: float
    out: str


def evaluate(config: EvaluateConfig, restart: bool = False, progress: bool = True) -> Summary:
    """Measures what is missing in `config.out` and writes all outputs there.

    Raises ValueError, ImportError or OSError, before anything is measured, for what cannot be
    done as asked; FileError if the folder has rows of other settings and not `restart`.
    """
    with usage_errors():
        protocol = get_protocol(config.protocol)
        names = chosen_metrics(config.metrics)
        for name in config.realism_0_metrics:
            if name not in names:
                raise ValueError(f"realism_0_metrics has {name!r}, which is none of the metrics.")
        _check_numbers(config)
    catalogue.check_programs(names)
    set_distances.check(config.set_metrics, config.inception)
    images = open_images(config.images, protocol)
    candidates = make_candidates(config)
    set_names = set_distances.possible(config.set_metrics)
    with usage_errors():
        anchors = chosen_anchors(config.anchor, candidates, [*names, *set_names])
    workers = config.workers or os.cpu_count() or 1
    out = Path(config.out)
    settings = Settings(protocol.name, tuple(names), {c.name: c.settings for c in candidates})
    rows = RowFile(out, settings, restart)
    cache = RowCache(config.cache)
    measured = runner.run(images, candidates, names, rows, workers, progress, cache)
    chosen = {key: row for key, row in rows.rows.items() if key[0] in measured}
    sizes = {row.image: (row.height, row.width) for row in chosen.values()}
    set_names = set_distances.chosen(config.set_metrics, list(sizes.values()))
    sets, set_notes = set_distances.compare_sets(set_names, images, candidates, config, rows)
    ladders = {c.name: c.qualities for c in candidates}
    judged = {c.name: c.judged_by(names) for c in candidates}
    points = summary.summarize(chosen, ladders, judged, sets)
    quoted = published.load(protocol.name) if config.published else []
    own_anchors = {name: anchors[name] for name in names}
    compared = [*names, *set_names]
    patches = ("patches",) if set_names else ()
    found = Summary(
        protocol=protocol,
        columns=(*summary.MEANS, *compared, *patches, *summary.TIMES),
        points=tuple(points),
        rates=(
            *summary.compare_codecs(chosen, ladders, judged, own_anchors),
            *summary.compare_by_sets(points, {n: anchors[n] for n in set_names}),
        ),
        definitions=definitions(names, set_names, workers),
        candidates=settings.candidates,
        tuned=tuple(c.name for c in candidates if protocol.name in c.tuned_on),
        notes=(*_notes(config, images, measured, rows, points, len(quoted)), *set_notes),
        class_rates=tuple(
            summary.compare_classes(images.classes, chosen, ladders, judged, own_anchors)
        ),
    )
    summary_files.write(found, out)
    plots.draw(found, quoted, out / "plots", config.linear_rate)
    report.write(found, quoted, images, candidates, chosen, config, out)
    return found


def chosen_metrics(chosen: Sequence[str]) -> list[str]:
    """Names of metrics, "all" standing for all that need no program; LPIPS by both networks.

    Raises ValueError for another name.
    """
    for name in chosen:
        if name != ALL and name not in catalogue.METRICS:
            known = ", ".join((ALL, *catalogue.METRICS))
            raise ValueError(f"metric is {name!r}; it must be one of: {known}.")
    own = [name for name, metric in catalogue.METRICS.items() if not metric.by_program]
    expanded = {ALL: own} | dict.fromkeys(catalogue.TOGETHER, catalogue.TOGETHER)
    names = [each for name in chosen for each in expanded.get(name, [name])]
    return list(dict.fromkeys(names))


def make_candidates(config: EvaluateConfig) -> list[Candidate]:
    """Models first, then baselines; raises UsageError if there is none or two have one name."""
    candidates = [
        candidate
        for model in config.models
        for candidate in model_candidates(
            model,
            config.qualities,
            config.realisms,
            config.steps,
            config.gammas,
            config.seed,
            config.realism_0_metrics,
        )
    ]
    with usage_errors():
        candidates += [baseline_candidate(text) for text in config.baselines]
    candidates += external_candidates(config.external) if config.external else []
    names = [candidate.name for candidate in candidates]
    if not candidates:
        raise UsageError("Neither a model nor a baseline is given.")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"Two codecs are called {name!r}; their rows could not be told apart.")
    return candidates


def _check_numbers(config: EvaluateConfig) -> None:
    if config.models and not (config.qualities and config.realisms):
        raise ValueError("A model needs at least one quality and one realism.")
    for name in ("workers", "report_images", "report_megabytes"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be at least 0.")
    for quality in config.qualities:
        quality_to_code(quality)
    for name, values in (("realism", config.realisms), ("gamma", config.gammas)):
        for value in values:
            DecodeSettings(**{name: value}).checked()
    for steps in config.steps:
        DecodeSettings(steps=steps, seed=config.seed).checked()


def chosen_anchors(
    text: str, candidates: Sequence[Candidate], metrics: Sequence[str]
) -> dict[str, str]:
    """The codec that each metric's Bjontegaard rates are against, from CODEC,METRIC=CODEC,...

    Without a codec for all metrics it is the first baseline. Raises ValueError for a codec or
    metric that is not measured.
    """
    names = [candidate.name for candidate in candidates]
    default = next((c.name for c in candidates if not c.is_model), names[0])
    own = {}
    for part in filter(None, map(str.strip, text.split(","))):
        # A codec's name may hold "=", as "base steps=4" does.
        metric, _, codec = part.partition("=") if part not in names else ("", "", part)
        if metric and codec and metric not in metrics:
            raise ValueError(
                f"anchor is of metric {metric!r}; it must be one of: {', '.join(metrics)}."
            )
        if (codec or metric) not in names:
            raise ValueError(
                f"anchor is {codec or metric!r}; it must be one of: {', '.join(names)}."
            )
        if metric and codec:
            own[metric] = codec
        else:
            default = codec or metric
    return {metric: own.get(metric, default) for metric in metrics}


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
    kept = Counter(row.codec for (image, *_), row in rows.rows.items() if row.is_kept)
    notes += [
        f"{count} rows of {codec} are an earlier evaluation's, with the same versions: no times"
        for codec, count in kept.items()
    ]
    if config.published and not quoted:
        notes.append(f"no published figures are quoted for protocol {protocol.name}")
    reasons = Counter(
        (failure.codec, quality_text(failure.quality), failure.step, failure.reason)
        for failure in rows.failures
    )
    for (codec, quality, step, reason), count in reasons.items():
        notes.append(f"{codec} at quality {quality}: {step} failed on {count} image(s): {reason}")
    return notes
