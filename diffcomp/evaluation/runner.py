"""Measures every image with every candidate at every quality, several jobs at a time.

A job encodes, decodes and measures one image at one quality. Jobs run in threads: Pillow's codecs,
JAX and the programs of VTM and BPG all leave Python's lock while they compute. Only the main thread
writes, so an interrupt leaves whole lines.
"""

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from diffcomp.distances.distortion import bpp
from diffcomp.evaluation.candidates import Candidate
from diffcomp.evaluation.image_sets import ImageSet, NamedImage
from diffcomp.evaluation.metrics import catalogue
from diffcomp.evaluation.row_file import RowFile
from diffcomp.evaluation.rows import Failure, Key, Row, quality_text, row_key
from diffcomp.files import atomic_file

# What a codec or a metric may raise: XLA's and the programs' errors are RuntimeErrors.
_FAILURES = (ValueError, ArithmeticError, RuntimeError, ImportError, OSError, MemoryError)
JOBS_AHEAD = 2  # per worker; each holds an image in memory


@dataclasses.dataclass(frozen=True)
class Job:
    """One row to be made."""

    image: NamedImage
    candidate: Candidate
    quality: float | None

    @property
    def key(self) -> Key:
        return row_key(self.image.name, self.candidate.name, self.quality)

    def failure(self, step: str, error: BaseException) -> Failure:
        """That a step, or a metric, raised `error`."""
        return Failure(self.image.name, self.candidate.name, self.quality, step, _reason(error))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a job gave: a row, or the failure for which there is none; and failed metrics."""

    row: Row | None
    failures: list[Failure]


def stream_path(folder: Path, candidate: Candidate, quality: float | None, image: str) -> Path:
    """Where the file that a row measures is kept."""
    name = image.replace("/", "_") + candidate.suffix
    return (
        folder / "streams" / candidate.name.replace(" ", "_") / f"q{quality_text(quality)}" / name
    )


def run(
    images: ImageSet,
    candidates: Sequence[Candidate],
    names: Sequence[str],
    rows: RowFile,
    workers: int,
    show: bool = True,
) -> list[str]:
    """Makes the rows that are not there yet; `names` are of metrics. Returns the images' names.

    `show` draws a bar of progress on stderr, if that is a terminal.
    A KeyboardInterrupt is passed on after the running jobs' rows are written.
    """
    measured: list[str] = []
    total = images.size() * sum(len(candidate.qualities) for candidate in candidates)
    jobs = _jobs(images, candidates, rows, measured)
    pending: set[Future] = set()
    with _progress(show) as progress, ThreadPoolExecutor(workers) as pool:
        task = progress.add_task("measuring", total=total, completed=0)
        interrupted = True
        try:
            for job in jobs:
                progress.update(task, description=" ".join(job.key))
                pending.add(pool.submit(perform, job, names, rows.folder))
                if len(pending) >= JOBS_AHEAD * workers:
                    _collect(pending, rows)
                progress.update(task, completed=len(rows.rows))
            interrupted = False
        finally:
            if interrupted:
                pending -= {future for future in pending if future.cancel()}
            while pending:
                _collect(pending, rows)
                progress.update(task, completed=len(rows.rows))
    return measured


def _jobs(
    images: ImageSet, candidates: Sequence[Candidate], rows: RowFile, measured: list[str]
) -> Iterator[Job]:
    for image in images:
        measured.append(image.name)
        rows.check_image(image.name, image.crc)
        for candidate in candidates:
            for quality in candidate.qualities:
                job = Job(image, candidate, quality)
                if job.key not in rows.rows:
                    yield job


def _collect(pending: set[Future], rows: RowFile) -> None:
    """Waits for a job or more and writes what they gave."""
    done, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        pending.remove(future)
        outcome: Outcome = future.result()
        if outcome.row is not None:
            rows.append(outcome.row)
        for failure in outcome.failures:
            rows.append_failure(failure)


def perform(job: Job, names: Sequence[str], folder: Path) -> Outcome:
    """Encodes, decodes and measures; keeps the encoded file below `folder`."""
    image, candidate = job.image.pixels, job.candidate
    step = "encode"
    try:
        candidate.warm_up(image)
        start = time.perf_counter()
        data = candidate.encode(image, job.quality)
        encoded = time.perf_counter()
        step = "decode"
        decoded = candidate.decode(data)
        decode_seconds = time.perf_counter() - encoded
        if decoded.shape != image.shape:
            raise ValueError(f"decoded image is {decoded.shape}, the original {image.shape}")
        step = "write"
        path = stream_path(folder, candidate, job.quality, job.image.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_file.write_bytes(path, data, overwrite=True)
    except _FAILURES as error:
        return Outcome(None, [job.failure(step, error)])
    metrics, failures = _judge(job, decoded, names)
    height, width = image.shape[:2]
    row = Row(
        image=job.image.name,
        codec=candidate.name,
        settings=candidate.settings,
        quality=job.quality,
        width=width,
        height=height,
        bytes=len(data),
        bpp=bpp(len(data), height, width),
        encode_seconds=encoded - start,
        decode_seconds=decode_seconds,
        pixels_crc=job.image.crc,
        metrics=metrics,
    )
    return Outcome(row.as_written(), failures)


def _judge(
    job: Job, decoded: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, float | None], list[Failure]]:
    """The metrics `names` of a decoded image, None where one fails, and the failures."""
    metrics, failures = {}, []
    for name in names:
        try:
            metrics[name] = _value(name, decoded, job.image.pixels)
        except _FAILURES as error:
            metrics[name] = None
            failures.append(job.failure(name, error))
    return metrics, failures


def _value(name: str, decoded: np.ndarray, image: np.ndarray) -> float:
    least = catalogue.METRICS[name].min_side
    if min(image.shape[:2]) < least:
        raise ValueError(f"the image has a side of {min(image.shape[:2])}, it needs {least}")
    value = catalogue.compare(name, decoded, image)
    # PSNR alone may be infinite: of identical images.
    if math.isnan(value) or (math.isinf(value) and value != catalogue.METRICS[name].ideal):
        raise ArithmeticError(f"its value is {value}")
    return value


def _reason(error: BaseException) -> str:
    """The first line of an error's text, its spaces single: XLA's go on for pages."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return " ".join(first.split())


def _progress(show: bool) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not (show and console.is_terminal),
        transient=True,
    )
