"""Temporary files and folders beside what they become, and what killed programs left of theirs.

A program that is killed cannot tidy up. So each temporary is locked while its program lives, the
system gives the lock back when that ends, however it ends, and the next program that writes into
the same folder removes those that nobody holds. Where there are no such locks (Windows, some
network file systems) they stay.
"""

import contextlib
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PREFIX, SUFFIX = ".diffcomp-", ".tmp"


@contextmanager
def temporary_file(folder: Path) -> Iterator[Path]:
    """Yields an empty file of a name that nobody else has; it is removed, if still there, after.

    Raises OSError if the folder cannot be written to.
    """
    with _held(folder, lambda path: path.touch(exist_ok=False)) as path:
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """The same of an empty folder, in `folder`."""
    with _held(folder, Path.mkdir) as path:
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@functools.cache
def remove_leftovers(folder: Path) -> None:
    """Removes temporaries that no living program holds, once per folder and process."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found = [e for e in entries if e.name.startswith(PREFIX) and e.name.endswith(SUFFIX)]
        for entry in found:
            _remove_if_unheld(entry)


def _remove_if_unheld(entry: os.DirEntry) -> None:
    with contextlib.suppress(OSError):
        # Neither follows a link nor waits for a pipe: anybody may have made what has such a name.
        held = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)
        finally:
            os.close(held)


@contextmanager
def _held(folder: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """A path that `make` has made, locked for the time of the block."""
    remove_leftovers(folder)
    while True:
        path = folder / f"{PREFIX}{uuid4().hex}{SUFFIX}"
        make(path)
        if fcntl is None:
            yield path
            return
        held = os.open(path, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(held, fcntl.LOCK_EX)
            # Another program may have found it before it was locked, and taken it for a leftover.
            if path.exists():
                yield path
                return
        finally:
            os.close(held)
