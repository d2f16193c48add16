"""Files in the folder of a training run, which may be on a bucket (gs://...), whole or not at all.

`atomic_file` is for the files of people: it keeps what is there and names what is wrong.
"""

import contextlib
import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from etils import epath


class RunFolderError(OSError):
    """What a run keeps could not be written, by fault of the disk or the bucket: with space and
    rights it goes on where it was.
    """


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Makes a RunFolderError, which says what could not be written, of the system's errors."""
    try:
        yield
    except RunFolderError:
        raise
    except (OSError, ValueError) as error:
        # Of what the system says the checkpoint library makes a ValueError, with the code in it.
        if not isinstance(error, OSError) and "os_error_code" not in str(error):
            raise
        reason = " ".join(str(error).split())  # in one line
        raise RunFolderError(f"{what} cannot be written: {reason}") from error


def replace_bytes(path: epath.Path, data: bytes) -> None:
    """Writes a file, in place of the one that is there; a reader sees the old one or the new.

    Raises RunFolderError.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(str(path)):
        temporary.write_bytes(data)
        temporary.replace(path)


def append_rows(path: epath.Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Adds rows to a CSV file, which is begun with its header.

    Files on a bucket cannot be appended to, so the file is written anew, whole.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    before = path.read_bytes() if path.exists() else b""
    if not before:
        writer.writerow(header)
    writer.writerows(rows)
    replace_bytes(path, before + text.getvalue().encode())
