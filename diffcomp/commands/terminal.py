"""What a command tells a person: lines on standard error, progress on a terminal, errors."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from diffcomp.coding.bitstream import BitstreamError
from diffcomp.files.atomic_file import FileError
from diffcomp.tiling import Progress
from diffcomp.usage import UsageError

# What a command may end with, as one line; anything else is a fault of the program.
FAILURES = (FileError, BitstreamError, ValueError, OSError, ImportError, MemoryError)

LONGEST_LINE = 2000  # characters of an error


def add_quiet(command: argparse.ArgumentParser) -> None:
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")


def add_verbose(command: argparse.ArgumentParser) -> None:
    command.add_argument("--verbose", action="store_true", help="say what takes how long")


def print_error(error: BaseException, program: str = "diffcomp") -> None:
    """One line of a failure, whatever a file or its name has put into it."""
    reason = "not enough memory for this image" if isinstance(error, MemoryError) else str(error)
    print(f"{program}: {one_line(reason)}", file=sys.stderr)


def exit_code(error: BaseException) -> int:
    """2 for a wrong command line, 1 for files and work that failed."""
    return 2 if isinstance(error, UsageError) else 1


def one_line(text: str) -> str:
    """The text with line ends and what else a terminal would obey written out, and not too long.

    >>> one_line("a\\nb"), len(one_line("x" * 10_000))
    ('a\\\\nb', 2000)
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= LONGEST_LINE else f"{shown[: LONGEST_LINE - 3]}..."


def say(args: argparse.Namespace, text: str) -> None:
    """A line on standard error, unless --quiet."""
    if not args.quiet:
        print(text, file=sys.stderr)


@contextlib.contextmanager
def working(args: argparse.Namespace, text: str) -> Iterator[Progress | None]:
    """Something that moves while the block runs, on a terminal only.

    Yields what may be told of parts done and of parts in all, which shows the time left; or None.
    """
    if args.quiet or not sys.stderr.isatty():
        yield None
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def named(path: str | Path) -> Iterator[None]:
    """Puts the file's name before what is wrong with its bits."""
    try:
        yield
    except BitstreamError as error:
        raise BitstreamError(f"{path}: {error}") from error
