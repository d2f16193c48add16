"""Outputs as shards of array_record: a record is a whole file, and the rows say whose it is.

    OUT/part-00003-of-00016.array_record
    OUT/.corpus/rows/part-00003-of-00016.jsonl    its rows, written after it

Which shard a picture is in follows from its name, so that a rerun finds it there.
"""

import contextlib
import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from diffcomp.corpus.picture_work import Coded
from diffcomp.corpus.rows import Row
from diffcomp.corpus.storage import Storage


def shard_of(name: str, shards: int) -> int:
    """The shard that a picture of this name is in, from 0 to `shards` - 1."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % shards


def work_on_shard(
    storage: Storage, shard: int, shards: int, names: Sequence[str], code: Callable[[str], Coded]
) -> Iterator[Row]:
    """Yields a row per name; codes what the shard does not have, and writes it anew if any is.

    names: all pictures of the shard. A shard is in memory while it is worked on, compressed.
    """
    stem = f"part-{shard:05d}-of-{shards:05d}"
    output, rows_path = f"{stem}.array_record", storage.private(f"rows/{stem}.jsonl")
    before = _finished(storage, storage.output(output), rows_path)
    if all(name in before for name in names):
        yield from (before[name].row for name in names)
        return
    coded = [before.get(name) or code(name) for name in sorted(names)]
    # Pictures that this run does not name stay; so does their place in the order of names.
    coded += [before[name] for name in sorted(before.keys() - set(names))]
    coded.sort(key=lambda each: each.row.name)
    records = [each for each in coded if each.data is not None]
    rows = [
        dataclasses.replace(each.row, output=f"{output}#{index}")
        for index, each in enumerate(records)
    ]
    if records:
        # No rows without their shard, nor with another one's: without rows a shard is not done.
        storage.delete(rows_path)
        storage.write(storage.output(output), write_records([each.data for each in records]))
        storage.write(rows_path, b"".join(row.to_json() for row in rows))
    asked = set(names)
    yield from (row for row in rows if row.name in asked)
    yield from (each.row for each in coded if each.data is None)


def _finished(storage: Storage, path: str, rows_path: str) -> dict[str, Coded]:
    """What an earlier run has written, by name."""
    if not (storage.exists(rows_path) and storage.exists(path)):
        return {}
    rows = [Row.from_json(line) for line in storage.read(rows_path).splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder, "shard")
        local.write_bytes(storage.read(path))
        records = read_records(str(local), range(len(rows)))
    return {row.name: Coded(row, data) for row, data in zip(rows, records, strict=True)}


def write_records(records: Sequence[bytes]) -> bytes:
    """The bytes of an array_record file, each record of which can be read on its own."""
    module = array_record_module()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shard")
        # Compressed pictures do not shrink.
        writer = module.ArrayRecordWriter(str(path), "group_size:1,uncompressed")
        for record in records:
            writer.write(record)
        writer.close()
        return path.read_bytes()


def read_records(path: str, indexes: Sequence[int]) -> list[bytes]:
    """Some records of a local array_record file; raises ValueError if it is none."""
    with _open(path) as reader:
        return list(reader.read(list(indexes))) if indexes else []


def record_count(path: str) -> int:
    """How many records a local file has; raises ValueError if it is no array_record."""
    with _open(path) as reader:
        return reader.num_records()


@contextlib.contextmanager
def _open(path: str) -> Iterator[Any]:
    # As said where the options are described, for records that are read one by one.
    reader = array_record_module().ArrayRecordReader(
        path, "readahead_buffer_size:0,max_parallelism:0"
    )
    try:
        if not reader.ok():
            # What is no such file opens too, and has no records; this raises the reason.
            reader.close()
            raise RuntimeError("no reason is given")
        yield reader
        reader.close()
    except (RuntimeError, IndexError) as error:
        raise ValueError(f"{path}: cannot be read as array_record: {error}") from error


def array_record_module() -> ModuleType:
    """Imported late, as few need it; raises ImportError that says what to install."""
    try:
        from array_record.python import array_record_module as module
    except ImportError as error:
        raise ImportError(
            "array_record files need the package array-record; pip install array-record brings it."
        ) from error
    return module
