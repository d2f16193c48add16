"""One job: an image coded at one quality, decoded by all candidates that share the file, judged."""

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffcomp.distances.distortion import bpp
from diffcomp.evaluation.candidates import Candidate
from diffcomp.evaluation.image_sets import NamedImage
from diffcomp.evaluation.metrics import catalogue
from diffcomp.evaluation.row_cache import Entry, RowCache
from diffcomp.evaluation.rows import Failure, Key, Row, quality_text, row_key
from diffcomp.files import atomic_file

# What a codec or a metric may raise: XLA's and the programs' errors are RuntimeErrors.
_FAILURES = catalogue.FAILURES


@dataclasses.dataclass(frozen=True)
class Job:
    """A file to be made, and a row for each of the candidates that decode it."""

    image: NamedImage
    candidates: tuple[Candidate, ...]  # of equal `files`
    quality: float | None

    def key(self, candidate: Candidate) -> Key:
        return row_key(self.image.name, candidate.name, self.quality)

    def failure(self, candidate: Candidate, step: str, error: BaseException) -> Failure:
        """That a step, or a metric, raised `error`."""
        return Failure(self.image.name, candidate.name, self.quality, step, _reason(error))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a job gave of a candidate: a row, or the failure for which there is none."""

    row: Row | None
    failures: list[Failure]  # also of metrics


@dataclasses.dataclass(frozen=True)
class _Coded:
    """A job's file, and what its candidates have in common of decoding it."""

    file: bytes
    content: Any  # see `Candidate.read`
    encode_seconds: float
    read_seconds: float


def stream_path(folder: Path, candidate: Candidate, quality: float | None, image: str) -> Path:
    """Where the file that a row measures is kept."""
    name = image.replace("/", "_") + candidate.suffix
    return (
        folder / "streams" / candidate.name.replace(" ", "_") / f"q{quality_text(quality)}" / name
    )


def perform(job: Job, names: Sequence[str], folder: Path, cache: RowCache) -> list[Outcome]:
    """Encodes once, then decodes and measures; keeps the file of each candidate below `folder`."""
    kept = [_from_cache(job, candidate, names, folder, cache) for candidate in job.candidates]
    missing = [c for c, found in zip(job.candidates, kept, strict=True) if found is None]
    measured = _measure(job, missing, names, folder, cache)
    return [outcome for outcome in kept if outcome is not None] + measured


def _from_cache(
    job: Job, candidate: Candidate, names: Sequence[str], folder: Path, cache: RowCache
) -> Outcome | None:
    entry = cache.find(job.image, candidate, job.quality)
    wanted = candidate.judged_by(names)
    if entry is None or not entry.metrics.keys() >= set(wanted):
        return None
    try:
        _keep_file(job, candidate, entry.file, folder)
    except _FAILURES as error:
        return Outcome(None, [job.failure(candidate, "write", error)])
    metrics = {name: entry.metrics[name] if name in wanted else None for name in names}
    return Outcome(_row(job, candidate, len(entry.file), (None, None), metrics), [])


def _measure(
    job: Job, candidates: Sequence[Candidate], names: Sequence[str], folder: Path, cache: RowCache
) -> list[Outcome]:
    if not candidates:
        return []
    step = "encode"
    try:
        for candidate in candidates:
            candidate.warm_up(job.image.pixels)
        start = time.perf_counter()
        file = candidates[0].encode(job.image.pixels, job.quality)
        encoded = time.perf_counter()
        step = "decode"
        content = candidates[0].read(file)
        coded = _Coded(file, content, encoded - start, time.perf_counter() - encoded)
    except _FAILURES as error:
        return [Outcome(None, [job.failure(candidate, step, error)]) for candidate in candidates]
    return [_decode(job, candidate, coded, names, folder, cache) for candidate in candidates]


def _decode(
    job: Job,
    candidate: Candidate,
    coded: _Coded,
    names: Sequence[str],
    folder: Path,
    cache: RowCache,
) -> Outcome:
    image = job.image.pixels
    step = "decode"
    try:
        start = time.perf_counter()
        decoded = (candidate.draw or candidate.decode)(coded.content)
        seconds = time.perf_counter() - start + coded.read_seconds
        if decoded.shape != image.shape:
            raise ValueError(f"decoded image is {decoded.shape}, the original {image.shape}")
        step = "write"
        _keep_file(job, candidate, coded.file, folder)
    except _FAILURES as error:
        return Outcome(None, [job.failure(candidate, step, error)])
    metrics, failures = _judge(job, candidate, decoded, names)
    known = {name: value for name, value in metrics.items() if value is not None}
    if not failures:
        cache.keep(job.image, candidate, job.quality, Entry(coded.file, known))
    times = coded.encode_seconds, seconds
    return Outcome(_row(job, candidate, len(coded.file), times, metrics), failures)


def _keep_file(job: Job, candidate: Candidate, file: bytes, folder: Path) -> None:
    path = stream_path(folder, candidate, job.quality, job.image.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write_bytes(path, file, overwrite=True)


def _row(
    job: Job,
    candidate: Candidate,
    size: int,
    seconds: tuple[float | None, float | None],
    metrics: dict[str, float | None],
) -> Row:
    height, width = job.image.pixels.shape[:2]
    return Row(
        image=job.image.name,
        codec=candidate.name,
        settings=candidate.settings,
        quality=job.quality,
        width=width,
        height=height,
        bytes=size,
        bpp=bpp(size, height, width),
        encode_seconds=seconds[0],
        decode_seconds=seconds[1],
        pixels_crc=job.image.crc,
        metrics=metrics,
    ).as_written()


def _judge(
    job: Job, candidate: Candidate, decoded: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, float | None], list[Failure]]:
    """The metrics `names` of a decoded image, None where one fails, and the failures."""
    metrics: dict[str, float | None] = dict.fromkeys(names)
    failures = []
    found = catalogue.compare_all(candidate.judged_by(names), decoded, job.image.pixels)
    for name, value in found.items():
        # PSNR alone may be infinite: of identical images.
        if isinstance(value, float) and (
            math.isnan(value) or (math.isinf(value) and value != catalogue.METRICS[name].ideal)
        ):
            value = ArithmeticError(f"its value is {value}")
        if isinstance(value, Exception):
            failures.append(job.failure(candidate, name, value))
        else:
            metrics[name] = value
    return metrics, failures


def _reason(error: BaseException) -> str:
    """The first line of an error's text, its spaces single: XLA's go on for pages."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return " ".join(first.split())
