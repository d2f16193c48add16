"""Files in the folder of a training run, which may be on a bucket (gs://...), whole or not at all.

`atomic_file` is for the files of people: it keeps what is there and names what is wrong.
"""

import csv
import io
from collections.abc import Iterable, Sequence

from etils import epath


def replace_bytes(path: epath.Path, data: bytes) -> None:
    """Writes a file, in place of the one that is there; a reader sees the old one or the new."""
    temporary = path.with_name(f".{path.name}.tmp")
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
