"""Reads and writes whole files: a written file appears complete under its name or not at all.

Every failure is a FileError of one line that names the file, fit to be shown to a user.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from diffcomp.files.temporary import temporary_file, temporary_folder


class FileError(ValueError):
    """A file cannot be read or written; the text holds its path and the reason."""


def read_bytes(path: str | os.PathLike, limit: int) -> bytes:
    """Returns the content of a file; raises FileError if unreadable or over `limit` bytes."""
    with errors_name(path), open(path, "rb") as file:
        return _read(file, limit)


def read_standard_input(limit: int) -> bytes:
    """Returns what comes in, to its end; raises FileError as `read_bytes`, named "-"."""
    with errors_name("-"):
        return _read(sys.stdin.buffer, limit)


def _read(file: BinaryIO, limit: int) -> bytes:
    data = file.read(limit + 1)
    if len(data) > limit:
        raise FileError(f"is longer than the limit of {limit} bytes")
    return data


def write_bytes(path: str | os.PathLike, data: bytes, overwrite: bool = False) -> None:
    """Writes a file in one step; see `atomic_write` for `overwrite` and the errors."""
    with atomic_write(path, overwrite) as file:
        file.write(data)


def check_target(path: str | os.PathLike, overwrite: bool = False) -> Path:
    """Raises the errors of `atomic_write` known beforehand, to fail before long work.

    Returns:
      The absolute path to be written, symbolic links resolved.
    """
    target = Path(os.path.realpath(path))
    with errors_name(path):
        if not target.parent.is_dir():
            raise FileError(f"the folder {target.parent} does not exist")
        if target.exists() and not target.is_file():
            raise FileError("is not a regular file and cannot be replaced")
        if target.exists() and not overwrite:
            raise FileError("exists already; give --force to replace it")
    return target


@contextmanager
def atomic_write(path: str | os.PathLike, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Yields a binary file that takes the name `path` when the block ends without an exception.

    The data goes to a temporary file in the same folder, which is removed on any failure, and by
    the next program that writes there if this one is killed. The file gets the permissions of any
    new file (the umask's), also when it replaces another.

    Raises:
      FileError: the folder is missing, `path` exists and `overwrite` is False, `path` is no
        regular file, or the system refuses.
    """
    target = check_target(path, overwrite)
    with errors_name(path), temporary_file(target.parent) as temporary:
        with open(temporary, "r+b") as file:
            yield file
        _publish(temporary, target, overwrite)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder that takes the name `path` when the block ends without an exception.

    What has the name is replaced if it is an empty folder. Raises OSError as the system does.
    """
    with temporary_folder(path.parent) as temporary:
        built = temporary / path.name
        built.mkdir()
        yield built
        built.replace(path)


def _publish(temporary: Path, target: Path, overwrite: bool) -> None:
    """Gives a finished file its name. A hard link, unlike a rename, never replaces a file."""
    if not overwrite:
        try:
            os.link(temporary, target)
            return
        except FileExistsError:
            raise FileError("was made by another program meanwhile; give --force") from None
        except OSError:
            # The file system has no hard links; the check leaves a short race.
            check_target(target)
    os.replace(temporary, target)


@contextmanager
def errors_name(path: str | os.PathLike, kind: type[FileError] = FileError) -> Iterator[None]:
    """Puts the path before the text of the block's FileError, and turns its OSError into `kind`.

    Raises:
      FileError: of the class that the block raised, or `kind` for an OSError.
    """
    try:
        yield
    except FileError as error:
        raise type(error)(f"{path}: {error}") from error
    except OSError as error:
        raise kind(f"{path}: {error.strerror or error}") from error
