"""The folder of outputs, which also says what is done: a picture whose row is kept is finished.

OUT/NAME.dfc                  the outputs, as deep as the inputs
OUT/table.csv                 all rows, when a run ends
OUT/.corpus/rows/NAME.json    the row of each finished picture, written after its output
OUT/.corpus/settings.json     see settings.py
OUT/.corpus/temporary/        files that are being written
"""

import abc
import posixpath
import uuid
from collections.abc import Iterable

from diffcomp.corpus.rows import Row, failure
from diffcomp.files.atomic_file import FileError

PRIVATE = ".corpus"
TABLE = "table.csv"
LARGEST_INPUT = 2**31  # bytes; as much as 16-bit samples of the largest picture take


class Storage(abc.ABC):
    """Files of inputs and outputs, wherever they are; can be pickled."""

    def __init__(self, folder: str):
        self.folder = folder  # of the outputs

    def output(self, name: str) -> str:
        """The path of an output."""
        return posixpath.join(self.folder, name)

    def private(self, name: str) -> str:
        """The path of a file that keeps the books."""
        return posixpath.join(self.folder, PRIVATE, name)

    def write(self, path: str, data: bytes) -> None:
        """Writes a file, complete or not at all; it takes the place of another of its name."""
        temporary = self.private(f"temporary/{uuid.uuid4().hex}")
        self._create(temporary, data)
        self._rename(temporary, path)

    @abc.abstractmethod
    def read(self, path: str, limit: int = LARGEST_INPUT) -> bytes:
        """The content of a file; raises FileError over `limit` bytes, OSError if unreadable."""

    @abc.abstractmethod
    def exists(self, path: str) -> bool: ...

    @abc.abstractmethod
    def files_below(self, folder: str) -> Iterable[str]:
        """Paths of all files in a folder and its folders; the folder ends in "/"."""

    @abc.abstractmethod
    def matching(self, pattern: str) -> Iterable[str]:
        """Paths of the files that a pattern fits, of which "**" crosses folders."""

    @abc.abstractmethod
    def delete(self, path: str) -> None:
        """Removes a file, or a folder with all in it; does nothing if there is none."""

    @abc.abstractmethod
    def _create(self, path: str, data: bytes) -> None:
        """Writes a file, and the folders that it needs."""

    @abc.abstractmethod
    def _rename(self, old: str, new: str) -> None:
        """Gives a file another name, in a folder that may have to be made."""


def finished(storage: Storage, name: str) -> Row | None:
    """The row of a picture whose output was written, by this run or an earlier one."""
    path = _row_path(storage, name)
    if not storage.exists(path):
        return None
    try:
        row = Row.from_json(storage.read(path))
    except ValueError:  # of another version, or damaged
        return None
    return row if storage.exists(storage.output(row.output)) else None


def keep(storage: Storage, row: Row, data: bytes) -> Row:
    """Writes an output, then its row: killed in between, the next run writes both again.

    Returns the row, or one with the error if the output cannot be written.
    """
    try:
        storage.write(storage.output(row.output), data)
        storage.write(_row_path(storage, row.name), row.to_json())
    except OSError as error:
        return failure(row.name, error)
    return row


def _row_path(storage: Storage, name: str) -> str:
    return storage.private(f"rows/{name}.json")


def check_length(path: str, data: bytes, limit: int) -> bytes:
    """The bytes, of which one more than `limit` were asked for; raises FileError if they came."""
    if len(data) > limit:
        raise FileError(f"{path}: is longer than the limit of {limit} bytes")
    return data
