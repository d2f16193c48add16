"""The rows of an evaluation on disk: appended one by one, found again by a later run.

`rows.csv` has a line per image, codec and quality; `settings.json` has what its figures depend on.
A run into the same folder does only what is missing, and refuses if a figure would now be another.
"""

import csv
import dataclasses
import errno
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from diffcomp.evaluation.rows import Failure, Key, Row
from diffcomp.files import atomic_file
from diffcomp.files.atomic_file import FileError

FIXED = (
    "image", "protocol", "codec", "settings", "quality", "width", "height", "bytes", "bpp",
)  # fmt: skip
TIMES = ("encode_seconds", "decode_seconds")
FAILURE_COLUMNS = tuple(field.name for field in dataclasses.fields(Failure))
_CANDIDATES = "coders"  # in settings.json: the key of folders that earlier versions began
RERUN = "choose another --out, or give --restart to throw the old rows away"

Record = TypeVar("Record", Row, Failure)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the figures of a folder depend on."""

    protocol: str
    metrics: tuple[str, ...]
    candidates: Mapping[str, str]  # name -> settings


class RowFile:
    """Rows of one output folder, by (image, codec, quality)."""

    def __init__(self, folder: Path, settings: Settings, restart: bool = False):
        """Opens or begins the folder; raises FileError if its rows are of other settings."""
        self.folder, self.protocol = folder, settings.protocol
        self._columns = (*FIXED, *settings.metrics, *TIMES, "pixels_crc")
        self._path, self._failures_path = folder / "rows.csv", folder / "errors.csv"
        with atomic_file.errors_name(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if restart:
            for path in (self._path, self._failures_path, folder / "settings.json"):
                path.unlink(missing_ok=True)
        self._keep_settings(settings)
        rows = _read(self._path, self._columns, lambda c: Row.from_cells(c, settings.metrics))
        self.rows: dict[Key, Row] = {row.key: row for row in rows}
        for row in rows:
            _compare_settings(self._path, row.codec, row.settings, settings)
        failures = _read(self._failures_path, FAILURE_COLUMNS, Failure.from_cells)
        # Of rows that are not there: they will be tried again.
        self.failures = [failure for failure in failures if failure.key in self.rows]
        if len(self.failures) < len(failures):
            kept = (failure.cells().values() for failure in self.failures)
            lines = _lines([FAILURE_COLUMNS, *kept])
            atomic_file.write_bytes(self._failures_path, lines, overwrite=True)

    def check_image(self, name: str, crc: str) -> None:
        """Raises FileError if the folder has rows of another image of this name."""
        for row in self.rows.values():
            if row.image == name and row.pixels_crc != crc:
                raise FileError(f"{self._path}: image {name} was another picture; {RERUN}")

    def append(self, row: Row) -> None:
        """Adds a row, which must be `as_written`, and writes it at once."""
        cells = row.cells() | {"protocol": self.protocol}
        _append(self._path, [cells[column] for column in self._columns])
        self.rows[row.key] = row

    def append_failure(self, failure: Failure) -> None:
        """Notes why a cell (or, with step encode or decode, a whole row) is missing."""
        _append(self._failures_path, failure.cells().values())
        self.failures.append(failure)

    def _keep_settings(self, settings: Settings) -> None:
        path = self.folder / "settings.json"
        candidates = dict(settings.candidates)
        if path.exists():
            try:
                old = json.loads(path.read_text())
                same = (old["protocol"], tuple(old["metrics"]), dict(old[_CANDIDATES]))
            except (ValueError, KeyError, TypeError) as error:
                raise FileError(f"{path}: not the settings of an evaluation; {RERUN}") from error
            self._compare(path, settings, *same)
            candidates = same[2] | candidates
        elif self._path.exists():
            raise FileError(f"{self._path}: there is no settings.json beside it; {RERUN}")
        kept = {
            "protocol": settings.protocol,
            "metrics": settings.metrics,
            _CANDIDATES: candidates,
        }
        atomic_file.write_bytes(path, json.dumps(kept, indent=1).encode() + b"\n", overwrite=True)

    @staticmethod
    def _compare(
        path: Path, settings: Settings, protocol: str, metrics: tuple, candidates: Mapping[str, str]
    ) -> None:
        if protocol != settings.protocol:
            raise FileError(f"{path}: protocol was {protocol}, is {settings.protocol}; {RERUN}")
        if metrics != settings.metrics:
            was, now = ", ".join(metrics), ", ".join(settings.metrics)
            raise FileError(f"{path}: metrics were {was}, are {now}; {RERUN}")
        for name, text in candidates.items():
            _compare_settings(path, name, text, settings)


def _compare_settings(path: Path, name: str, was: str, settings: Settings) -> None:
    now = settings.candidates.get(name, was)
    if now != was:
        raise FileError(f"{path}: {name} was {was!r}, is {now!r}; {RERUN}")


def _read(
    path: Path, columns: Sequence[str], parse: Callable[[dict[str, str]], Record]
) -> list[Record]:
    """The records of a file, which is begun with its header if it is missing or empty."""
    if not path.exists() or not path.stat().st_size:
        _append(path, columns)
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):  # the run was killed while it wrote
        atomic_file.write_bytes(path, whole, overwrite=True)
    found = list(csv.reader(io.StringIO(whole.decode(), newline="")))
    if not found or found[0] != list(columns):
        raise FileError(f"{path}: its header is not {','.join(columns)}; {RERUN}")
    records = []
    for number, row in enumerate(found[1:], start=2):
        if len(row) != len(columns):
            raise FileError(f"{path}: line {number} has {len(row)} cells, not {len(columns)}")
        try:
            records.append(parse(dict(zip(columns, row, strict=True))))
        except ValueError as error:
            raise FileError(f"{path}: line {number}: {error}") from error
    return records


def _append(path: Path, cells: Iterable[str]) -> None:
    """One write of a whole line: what reads the file sees complete lines."""
    line = _lines([cells])
    with atomic_file.errors_name(path), path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            if file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(size)  # another line may still follow
            raise


def _lines(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
