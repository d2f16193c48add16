"""The directories of a TIFF file: the chain, those below, and a new one for Pillow to start with.

Each directory has tags, by their numbers (TIFF 6.0). Pillow reads a directory; it does not show
those below another (SubIFDs), nor lets one be chosen by its place.
"""

import io
import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2

Tags = Mapping[int, object]

NEW_SUBFILE_TYPE, SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION = 254, 255, 256, 257, 258, 259
PHOTOMETRIC, FILL_ORDER, STRIPS, ORIENTATION, CHANNELS = 262, 266, 273, 274, 277
ROWS_PER_STRIP, STRIP_LENGTHS, PLANAR, TRANSFER, PREDICTOR = 278, 279, 284, 301, 317
WHITE_POINT, PRIMARIES, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_LENGTHS = 318, 319, 322, 323, 324, 325
SUB_DIRECTORIES, EXTRA_SAMPLES, SAMPLE_FORMAT, SUBSAMPLING = 330, 338, 339, 530

_MOST = 10000  # directories, or entries of one
_LONG, _LONG8 = 4, 16
_OFFSET_TYPES = {_LONG: "I", 13: "I", _LONG8: "Q", 18: "Q"}  # 13 and 18: IFD, IFD8


class TiffDirectories:
    """The structure of a TIFF file, classic or BigTIFF, that can be sought."""

    def __init__(self, file: BinaryIO):
        self._file = file
        file.seek(0)
        header = file.read(16)
        self.is_big = 43 in header[2:4]
        self.is_big_endian = header[:2] == b"MM"
        self._order = ">" if self.is_big_endian else "<"
        self._word = "Q" if self.is_big else "I"
        self._count = "Q" if self.is_big else "H"
        self._link = 8 if self.is_big else 4  # where the offset of the first directory stands
        self._header = header[: 2 * self._link]

    def chain(self) -> Iterator[ImageFileDirectory_v2]:
        """The directories one after another, until one cannot be read or comes again."""
        if len(self._header) < 2 * self._link:
            return
        (at,) = struct.unpack_from(self._order + self._word, self._header, self._link)
        seen: set[int] = set()
        while at and at not in seen and len(seen) < _MOST:
            seen.add(at)
            directory = self.directory(at)
            if directory is None:
                return
            yield directory
            at = directory.next

    def directory(self, at: int) -> ImageFileDirectory_v2 | None:
        """None for one that cannot be read: if it matters, Pillow says so."""
        try:
            directory = ImageFileDirectory_v2(self._header)
            self._file.seek(at)
            directory.load(self._file)
            return directory if WIDTH in directory and HEIGHT in directory else None
        except Exception:  # As many kinds as for broken pictures.
            return None

    def below(self, at: int) -> list[ImageFileDirectory_v2]:
        """Those that the directory at `at` names in SubIFDs.

        Read here because Pillow leaves the tag out where its offsets have 64 bits.
        """
        form = self._order + "HH" + 2 * self._word
        (entries,) = self._read(self._count, at)
        table = self._file.read(min(entries, _MOST) * struct.calcsize(form))
        table = table[: len(table) // struct.calcsize(form) * struct.calcsize(form)]
        for tag, kind, number, value in struct.iter_unpack(form, table):
            if tag == SUB_DIRECTORIES and kind in _OFFSET_TYPES and number <= _MOST:
                code = f"{number}{_OFFSET_TYPES[kind]}"
                offsets = (value,) if number == 1 else self._read(code, value)
                return [found for found in map(self.directory, offsets) if found]
        return []

    def _read(self, code: str, at: int) -> tuple[int, ...]:
        self._file.seek(at)
        return struct.unpack(
            self._order + code, self._file.read(struct.calcsize(self._order + code))
        )

    def starting_at(self, offset: int) -> BinaryIO:
        """A copy of the file whose first directory is the one at `offset`."""
        self._file.seek(0)
        return self._linked(bytearray(self._file.read()), offset)

    def starting_with(self, values: dict[int, tuple[int, ...]]) -> BinaryIO:
        """A copy of the file whose first directory is a new one, of these whole numbers."""
        self._file.seek(0)
        data = bytearray(self._file.read())
        data += bytes(len(data) % 2)
        at = len(data)
        data += self._packed(values, at)
        return self._linked(data, at)

    def _linked(self, data: bytearray, offset: int) -> BinaryIO:
        struct.pack_into(self._order + self._word, data, self._link, offset)
        return io.BytesIO(data)

    def _packed(self, values: dict[int, tuple[int, ...]], at: int) -> bytes:
        size = self._link
        entries, beside = b"", b""
        start = at + struct.calcsize("=" + self._count) + len(values) * (4 + 2 * size) + size
        head = self._order + "HH" + self._word
        for tag, numbers in sorted(values.items()):
            entries += struct.pack(head, tag, _LONG8 if self.is_big else _LONG, len(numbers))
            body = struct.pack(f"{self._order}{len(numbers)}{self._word}", *numbers)
            if len(body) > size:
                beside += body
                body = struct.pack(self._order + self._word, start + len(beside) - len(body))
            entries += body
        return struct.pack(self._order + self._count, len(values)) + entries + bytes(size) + beside


def all_of(value: object) -> tuple:
    """The values of a tag: Pillow gives a single one bare."""
    return value if isinstance(value, tuple) else () if value is None else (value,)


def number_of(tags: Tags, tag: int, default: int) -> int:
    """The value of a tag that is one whole number."""
    value = tags.get(tag, default)
    return value if isinstance(value, int) else default
