"""Many files in one command: options, one model for all, several files at a time."""

import argparse
import concurrent.futures
import contextlib
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from diffcomp.coding.bitstream import MAX_PIXELS, check_max_pixels
from diffcomp.commands.terminal import (
    FAILURES,
    add_quiet,
    add_verbose,
    print_error,
    say,
    working,
)
from diffcomp.files import atomic_file, temporary
from diffcomp.files.atomic_file import FileError
from diffcomp.files.file_jobs import STANDARD, Direction, FileJob, plan_jobs
from diffcomp.usage import UsageError, usage_errors

Work = Callable[[FileJob], None]

# While one file is coded, others are read, entropy-coded and written. More gain nothing: the
# networks use every core.
MOST_JOBS = 4
# Pictures from this size on are coded one at a time: memory grows with them.
LARGE_PIXELS = 2**22
_large = threading.Lock()


def add_command(commands, name: str, what: str, examples: str) -> argparse.ArgumentParser:  # noqa: ANN001
    """A sub-command that takes files, with its examples; `what` is what it does, in a line."""
    return commands.add_parser(
        name,
        help=what,
        description=what,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_options(command: argparse.ArgumentParser, default_model: str) -> None:
    """The options that compress and decompress share; what --model is by default, in words."""
    command.add_argument(
        "--model", help=f"shipped model or folder of an exported one (default: {default_model})"
    )
    command.add_argument("--force", action="store_true", help="overwrite existing outputs")
    command.add_argument("--skip-existing", action="store_true", help="leave out what is done")
    command.add_argument(
        "-o",
        "--output-dir",
        metavar="DIR",
        help="folder of the outputs (default: beside each input)",
    )
    command.add_argument(
        "-r", "--recursive", action="store_true", help="take the sub-folders of folders too"
    )
    command.add_argument(
        "--keep-going", action="store_true", help="go on after a file that fails; exit code 1"
    )
    command.add_argument(
        "-j",
        "--jobs",
        type=int,
        metavar="N",
        help=f"files at a time, from 1 (default: one per core, {MOST_JOBS} at most)",
    )
    command.add_argument(
        "--max-pixels",
        type=int,
        default=MAX_PIXELS,
        metavar="N",
        help="refuse larger pictures (default and most: %(default)s)",
    )
    add_quiet(command)
    add_verbose(command)


def planned(args: argparse.Namespace, direction: Direction) -> list[FileJob]:
    """The jobs of a command line, in order; raises UsageError, FileError as `plan_jobs`."""
    if args.force and args.skip_existing:
        raise UsageError("--force and --skip-existing exclude each other.")
    if args.jobs is not None and args.jobs < 1:
        raise UsageError(f"--jobs is {args.jobs}; it must be 1 or more.")
    with usage_errors():
        check_max_pixels(args.max_pixels)
    plan = plan_jobs(args.paths, direction, args.output_dir, args.recursive)
    if plan.left_out:
        say(args, f"{plan.left_out} other files in the folders are left out")
    jobs = plan.jobs
    for folder in {Path(job.output).parent for job in jobs if job.output != STANDARD}:
        temporary.remove_leftovers(folder)  # also where nothing is left to be written
    if args.skip_existing:
        jobs = [job for job in jobs if not os.path.lexists(job.output)]
        if len(jobs) < len(plan.jobs):
            say(args, f"{len(plan.jobs) - len(jobs)} of {len(plan.jobs)} are done already")
    return jobs


def run_jobs(args: argparse.Namespace, jobs: Sequence[FileJob], work: Work) -> None:
    """Each job; the first that fails ends the command, unless --keep-going.

    Raises what `work` raises, or FileError with the number of failures.
    """
    _make_folders(args, jobs)
    if not args.keep_going:
        for job in jobs:
            if job.input != STANDARD:
                with atomic_file.errors_name(job.input):
                    job.input.stat()
            check_output(args, job)
    failed = 0
    with _bar(args, len(jobs)) as advance:
        for error in _outcomes(args, jobs, work):
            advance()
            if error is None:
                continue
            if not args.keep_going:
                raise error
            failed += 1
            print_error(error)
    if failed:
        raise FileError(f"{failed} of {len(jobs)} files failed")


def check_output(args: argparse.Namespace, job: FileJob) -> None:
    """Raises FileError if the output cannot be written, known beforehand."""
    if job.output != STANDARD:
        atomic_file.check_target(job.output, args.force)


@contextlib.contextmanager
def one_if_large(pixels: int) -> Iterator[None]:
    """A block that runs alone among those of large pictures."""
    with _large if pixels >= LARGE_PIXELS else contextlib.nullcontext():
        yield


def _make_folders(args: argparse.Namespace, jobs: Sequence[FileJob]) -> None:
    if args.output_dir:
        for folder in {Path(args.output_dir), *(job.output.parent for job in jobs)}:
            with atomic_file.errors_name(folder):
                folder.mkdir(parents=True, exist_ok=True)


def _outcomes(
    args: argparse.Namespace, jobs: Sequence[FileJob], work: Work
) -> Iterator[Exception | None]:
    """What came of each job, in the order in which they end: None, or what it failed with.

    Jobs that have not started when the caller stops are never started; those that have are
    finished first.
    """

    def outcome(job: FileJob) -> Exception | None:
        try:
            check_output(args, job)
            work(job)
        except FAILURES as error:
            return error
        return None

    # The first alone: it loads the model, and compiles what the others then share.
    with _collector_paused():
        first = [outcome(job) for job in jobs[:1]]
    yield from first
    if len(jobs) < 2:
        return
    workers = args.jobs or min(os.cpu_count() or 1, MOST_JOBS)
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    try:
        futures = [pool.submit(outcome, job) for job in jobs[1:]]
        for future in concurrent.futures.as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """For what imports JAX and Numba: of the million objects that they make, all stay.

    Python's collector would look through them every now and then and once more at the end, which
    takes as long as the imports themselves.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _bar(args: argparse.Namespace, total: int) -> Iterator[Callable[[], None]]:
    """A bar of files done, with their rate and the time left; on a terminal, for several files."""
    if total < 2 or args.quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total, rate="")

        def advance() -> None:
            bar.advance(task)
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            bar.update(task, rate=f"{speed:.1f}/s" if speed else "")

        yield advance


def working_on(args: argparse.Namespace, jobs: Sequence[FileJob], text: str):  # noqa: ANN201
    """`terminal.working` for a command of one file; several have a bar."""
    if len(jobs) > 1:
        return contextlib.nullcontext()
    return working(args, f"{text} (the first run of a size also compiles)")
