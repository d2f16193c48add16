"""Which pictures a corpus has: what a command line names, and what each picture is called.

A source is a folder, a pattern such as gs://bucket/**/*.jpg, a file; or, on a local disk,
`packed:FILE`, `tfds:NAME/SPLIT` or a file that ends in .array_record, each record a whole file.
"""

import dataclasses
import functools
import itertools
import json
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from diffcomp.corpus.picture_work import Content
from diffcomp.corpus.record_shards import read_records, record_count
from diffcomp.corpus.storage import Storage
from diffcomp.data.image_sources import ImageSource, open_sources
from diffcomp.files.image_file import READ_SUFFIXES

RECORD_SUFFIX = ".array_record"
SUFFIXES = {"compress": READ_SUFFIXES, "decompress": frozenset({".dfc"})}  # taken from folders
_WILD = re.compile(r"[*?\[]")


@dataclasses.dataclass(frozen=True)
class Source:
    """What a command line names; can be pickled."""

    kind: str  # "folder", "files" (a file or a pattern), "packed" or "tfds"
    place: str  # an absolute path; a folder's ends in "/"; of TFDS, data set and split

    @property
    def base(self) -> list[str]:
        """The parts of the folder that its files are below."""
        return _WILD.split(self.place)[0].rpartition("/")[0].split("/")


@dataclasses.dataclass(frozen=True)
class Item:
    """One picture."""

    name: str  # below the folder that all sources share; no two items have the same
    kind: str  # "file", "record", "packed" or "tfds"
    place: str  # the file, or the data set and its split
    index: int = 0  # in it

    def to_json(self) -> bytes:
        """ASCII, whatever bytes a file's name has."""
        return json.dumps(dataclasses.asdict(self)).encode("ascii")

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """What `to_json` gave."""
        return cls(**json.loads(text))


def parse_source(text: str, mode: str) -> Source:
    """What a text names; raises ValueError if a local path is not there, or the mode is another.

    Whether a remote path is there shows when it is listed; a remote folder ends in "/".
    """
    kind, _, place = text.partition(":")
    if kind in ("packed", "tfds"):
        if mode == "decompress":
            raise ValueError(f"{text}: holds pictures; there is nothing to decompress.")
        open_sources(text)  # raises, before the work, what it would raise in its midst
        return Source(kind, os.path.abspath(place) if kind == "packed" else place)
    if "://" in text:
        return Source("folder" if text.endswith("/") else "files", text)
    path = os.path.abspath(text)
    if os.path.isdir(path):
        return Source("folder", f"{path.rstrip('/')}/")
    if not os.path.lexists(path) and not _WILD.search(path):
        raise ValueError(f"{text}: there is no such file or folder.")
    return Source("files", path)


def root_of(sources: Iterable[Source]) -> str:
    """The folder that names are below: by the sources' own text, whatever files they have."""
    bases = [source.base for source in sources if source.kind != "tfds"]
    levels = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*bases, strict=False))
    return "".join(f"{parts[0]}/" for parts in levels)


def items(source: Source, root: str, mode: str, storage: Storage) -> Iterator[Item]:
    """Yields the pictures of a source; of a folder those whose suffix is for this mode.

    Hidden files and folders are passed over, as is the folder of outputs. Raises ValueError for
    what cannot be opened.
    """
    if source.kind == "packed":
        opened, name = _opened(f"packed:{source.place}"), _name(source.place, root)
        for index in range(len(opened)):
            member = opened.name(index).removeprefix(f"{source.place}/")
            yield Item(f"{name}/{member}", "packed", source.place, index)
    elif source.kind == "tfds":
        name = "/".join(re.sub(r"[^\w.-]+", "_", part) for part in source.place.split("/"))
        for index in range(len(_opened(f"tfds:{source.place}"))):
            yield Item(f"tfds/{name}/{index:08d}", "tfds", source.place, index)
    else:
        yield from _files(source, root, mode, storage)


def _files(source: Source, root: str, mode: str, storage: Storage) -> Iterator[Item]:
    listed = storage.files_below if source.kind == "folder" else storage.matching
    for file in sorted(listed(source.place)):
        below = file.removeprefix("/".join(source.base))
        own = file.startswith(f"{storage.folder}/")  # outputs among the inputs
        if own or any(part.startswith(".") for part in below.split("/")):
            continue
        name, suffix = _name(file, root), posixpath.splitext(file)[1].lower()
        if suffix == RECORD_SUFFIX:
            yield from _records(file, name)
        elif source.kind == "files" or suffix in SUFFIXES[mode]:
            yield Item(name, "file", file)


def _records(file: str, name: str) -> Iterator[Item]:
    try:
        count = record_count(file)
    except (ValueError, OSError):
        yield Item(name, "record", file)  # which fails as it is read, and so has a row
        return
    for index in range(count):
        yield Item(f"{name}/{index:08d}", "record", file, index)


def reader(item: Item, storage: Storage) -> Callable[[], Content]:
    """What reads the item's bytes, or pixels; that raises OSError and ValueError of every kind."""
    if item.kind == "file":
        return lambda: storage.read(item.place)
    if item.kind == "record":
        return lambda: read_records(item.place, [item.index])[0]
    return lambda: _opened(f"{item.kind}:{item.place}").read(item.index)


@functools.lru_cache(maxsize=16)
def _opened(text: str) -> ImageSource:
    """A packed file or a TFDS data set, opened once per process."""
    return open_sources(text)[0]


def _name(path: str, root: str) -> str:
    return path.removeprefix(root).replace("://", "/").lstrip("/")
