"""Measures every image with every candidate at every quality, several jobs at a time.

Jobs run in threads: Pillow's codecs,
JAX and the programs of VTM and BPG all leave Python's lock while they compute. Only the main thread
writes, so an interrupt leaves whole lines.
"""

import contextlib
import importlib.util
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from diffcomp.evaluation.candidates import Candidate
from diffcomp.evaluation.image_sets import ImageSet
from diffcomp.evaluation.measuring import Job, Outcome, perform
from diffcomp.evaluation.row_cache import RowCache
from diffcomp.evaluation.row_file import RowFile

JOBS_AHEAD = 2  # per worker; each holds an image in memory


def run(
    images: ImageSet,
    candidates: Sequence[Candidate],
    names: Sequence[str],
    rows: RowFile,
    workers: int,
    show: bool = True,
    cache: RowCache | None = None,
) -> list[str]:
    """Makes the rows that are not there yet; `names` are of metrics. Returns the images' names.

    Rows of other codecs that `cache` has are not measured again. `show` draws a bar of progress on
    stderr, if that is a terminal.
    A KeyboardInterrupt is passed on after the running jobs' rows are written.
    """
    measured: list[str] = []
    total = images.size() * sum(len(candidate.qualities) for candidate in candidates)
    jobs = _jobs(images, candidates, rows, measured)
    cache = cache or RowCache("")
    pending: set[Future] = set()
    with (
        _progress(show) as progress,
        _one_blas_thread_per_job(workers),
        ThreadPoolExecutor(workers) as pool,
    ):
        task = progress.add_task("measuring", total=total, completed=0)
        interrupted = True
        try:
            for job in jobs:
                progress.update(task, description=" ".join(job.key(job.candidates[0])))
                pending.add(pool.submit(perform, job, names, rows.folder, cache))
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
    groups: dict[Hashable, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.files or candidate.name, []).append(candidate)
    for image in images:
        measured.append(image.name)
        rows.check_image(image.name, image.crc)
        for group in groups.values():
            for quality in group[0].qualities:
                job = Job(image, tuple(group), quality)
                missing = tuple(c for c in group if job.key(c) not in rows.rows)
                if missing:
                    yield Job(image, missing, quality)


def _one_blas_thread_per_job(workers: int) -> contextlib.AbstractContextManager:
    """Keeps each job's matrix products on one core: threads of BLAS spin while they wait.

    No figure depends on it. Without threadpoolctl, which environments of before lack, they spin.
    """
    if workers == 1 or importlib.util.find_spec("threadpoolctl") is None:
        return contextlib.nullcontext()
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


def _collect(pending: set[Future], rows: RowFile) -> None:
    """Waits for a job or more and writes what they gave."""
    done, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        pending.remove(future)
        outcomes: list[Outcome] = future.result()
        for outcome in outcomes:
            if outcome.row is not None:
                rows.append(outcome.row)
            for failure in outcome.failures:
                rows.append_failure(failure)


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
