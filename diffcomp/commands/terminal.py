"""What a command tells a person: lines on standard error, progress on a terminal, errors."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from diffcomp.coding.bitstream import BitstreamError
from diffcomp.files.atomic_file import FileError

# What a command may end with, as one line; anything else is a fault of the program.
FAILURES = (FileError, BitstreamError, ValueError, OSError, ImportError, MemoryError)


def add_quiet(command: argparse.ArgumentParser) -> None:
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")


def add_verbose(command: argparse.ArgumentParser) -> None:
    command.add_argument("--verbose", action="store_true", help="say what takes how long")


def print_error(error: BaseException) -> None:
    """One line of a failure."""
    reason = "not enough memory for this image" if isinstance(error, MemoryError) else error
    print(f"diffcomp: {reason}", file=sys.stderr)


def say(args: argparse.Namespace, text: str) -> None:
    """A line on standard error, unless --quiet."""
    if not args.quiet:
        print(text, file=sys.stderr)


@contextlib.contextmanager
def spinner(args: argparse.Namespace, text: str) -> Iterator[None]:
    """Something that turns while the block runs; on a terminal only."""
    if args.quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


@contextlib.contextmanager
def named(path: str | Path) -> Iterator[None]:
    """Puts the file's name before what is wrong with its bits."""
    try:
        yield
    except BitstreamError as error:
        raise BitstreamError(f"{path}: {error}") from error
