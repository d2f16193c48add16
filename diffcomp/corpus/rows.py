"""What came of each picture of a corpus: a row, and the table of all rows."""

import csv
import dataclasses
import io
import json
from collections.abc import Iterable
from typing import Self


@dataclasses.dataclass(frozen=True)
class Row:
    """One picture; what is not known, of one that failed, is None."""

    name: str  # of the input, below the folder that all inputs share
    output: str = ""  # below the folder of outputs; of a record: SHARD#INDEX
    width: int | None = None  # pixels
    height: int | None = None
    bytes: int | None = None  # of the .dfc file, in either direction
    bpp: float | None = None  # of the same
    psnr: float | None = None  # dB, of what the file decodes to; if it was asked for
    seconds: float | None = None  # of coding alone; the first of a size in a process also compiles
    sha256: str = ""  # of the output
    error: str = ""  # one line; a picture without output has one

    def to_json(self) -> bytes:
        """A line of ASCII, whatever bytes the file's name has."""
        return json.dumps(dataclasses.asdict(self)).encode("ascii") + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        """Raises ValueError for what `to_json` has not written."""
        try:
            return cls(**json.loads(line))
        except TypeError as error:
            raise ValueError(f"not a row of this version: {error}") from error


def failure(name: str, error: Exception) -> Row:
    """The row of a picture that failed."""
    return Row(name, error=f"{type(error).__name__}: {' '.join(str(error).split())}")


COLUMNS = tuple(field.name for field in dataclasses.fields(Row))


def table(rows: Iterable[Row]) -> bytes:
    """The rows as CSV, sorted by name; UTF-8, with bytes that are not as \\udcXX."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in sorted(rows, key=lambda row: row.name))
    return text.getvalue().encode("utf-8", "backslashreplace")


def count(csv_table: bytes) -> tuple[int, int]:
    """Rows of a `table`, and how many of them have an error."""
    rows = list(csv.DictReader(io.StringIO(csv_table.decode(), newline="")))
    return len(rows), sum(bool(row["error"]) for row in rows)
