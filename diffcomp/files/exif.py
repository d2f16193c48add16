"""EXIF and XMP as bytes: what they say of orientation and colour, and how that is undone.

Pixels leave this package upright and in sRGB. Metadata that go on with them must say so, or the
next program turns and converts them again; and they must not hold a thumbnail, which shows what was
cropped away. Preview pictures inside a camera's own notes (MakerNote) stay.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

ORIENTATION, EXIF_IFD, INTEROP_IFD, COLOR_SPACE = 0x0112, 0x8769, 0xA005, 0xA001
_THUMBNAIL, _THUMBNAIL_LENGTH, _STRIPS, _STRIP_LENGTHS = 0x0201, 0x0202, 0x0111, 0x0117
_UNCALIBRATED, _ADOBE = 0xFFFF, 2
_SHORT, _LONG = 3, 4


@dataclass(frozen=True)
class ExifFacts:
    """What EXIF says that pixels must be converted by."""

    orientation: int = 1  # 1..8 as in TIFF 6.0, or a number that means nothing
    color_space: int | None = None  # 1 is sRGB, 65535 another
    interoperability: bytes = b""  # R98 is sRGB, R03 Adobe RGB (DCF 2.0)

    @property
    def is_adobe_rgb(self) -> bool:
        # 2 is in no standard, but cameras write it.
        return self.color_space == _ADOBE or (
            self.color_space == _UNCALIBRATED and self.interoperability == b"R03"
        )

    @property
    def is_unknown_color(self) -> bool:
        return self.color_space == _UNCALIBRATED and not self.is_adobe_rgb


def read_facts(exif: bytes) -> ExifFacts:
    """Raises ValueError for what is no EXIF."""
    tree = _Tree(exif)
    main = tree.entries(tree.first)
    detail = tree.entries(tree.number(main.get(EXIF_IFD), 0))
    interop = tree.entries(tree.number(detail.get(INTEROP_IFD), 0))
    at = interop.get(1)
    return ExifFacts(
        tree.number(main.get(ORIENTATION), 1),
        tree.number(detail.get(COLOR_SPACE), None),
        bytes(tree.data[at + 8 : at + 11]) if at is not None else b"",
    )


def settled_exif(exif: bytes) -> bytes | None:
    """The same EXIF for pixels that are upright and in sRGB, without a thumbnail.

    Changed in place, so that a camera's notes, which hold offsets, stay readable. None if it tells
    of nothing but the orientation. Raises ValueError for what is no EXIF.
    """
    tree = _Tree(exif)
    main = tree.entries(tree.first)
    if set(main) <= {ORIENTATION}:
        return None
    tree.set_short(main.get(ORIENTATION), 1)
    detail = tree.entries(tree.number(main.get(EXIF_IFD), 0))
    tree.set_short(detail.get(COLOR_SPACE), 1)
    at = tree.entries(tree.number(detail.get(INTEROP_IFD), 0)).get(1)
    if at is not None and tree.data[at + 8 : at + 11] == b"R03":
        tree.data[at + 8 : at + 11] = b"R98"
    tree.cut_second_directory()
    return bytes(tree.data)


def settled_xmp(xmp: bytes) -> bytes:
    """The same XMP for pixels that are upright, without thumbnails."""
    xmp = re.sub(rb"(tiff:Orientation\s*=\s*[\"']|<tiff:Orientation>)\s*[2-8]", rb"\g<1>1", xmp)
    xmp = re.sub(rb"(exif:ColorSpace\s*=\s*[\"']|<exif:ColorSpace>)\s*\d+", rb"\g<1>1", xmp)
    return re.sub(rb"<(xmp|xap):Thumbnails>.*?</\1:Thumbnails>", b"", xmp, flags=re.DOTALL)


class _Tree:
    """The directories of a TIFF stream in memory; what lies outside of it is as if absent."""

    def __init__(self, exif: bytes):
        self.data = bytearray(re.sub(rb"^(Exif\0\0){1,2}", b"", exif))
        self.order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(self.data[:4]), "")
        if not self.order or len(self.data) < 8:
            raise ValueError("EXIF does not start like a TIFF file")
        self.first = self._unpack("I", 4)

    def _unpack(self, code: str, at: int) -> int:
        return struct.unpack_from(self.order + code, self.data, at)[0]

    def _count(self, at: int) -> int:
        return self._unpack("H", at) if 8 <= at <= len(self.data) - 2 else 0

    def entries(self, at: int) -> dict[int, int]:
        """Where the entry of each tag stands, of the directory at `at`."""
        places = (at + 2 + 12 * index for index in range(self._count(at)))
        return {self._unpack("H", p): p for p in places if p + 12 <= len(self.data)}

    def number(self, at: int | None, default: int | None) -> int | None:
        """The value of the entry there: a SHORT or a LONG."""
        if at is None:
            return default
        code = {_SHORT: "H", _LONG: "I"}.get(self._unpack("H", at + 2))
        return self._unpack(code, at + 8) if code else default

    def set_short(self, at: int | None, value: int) -> None:
        if at is not None:
            struct.pack_into(self.order + "HIHH", self.data, at + 2, _SHORT, 1, value, 0)

    def cut_second_directory(self) -> None:
        """Takes the link to the thumbnail's directory away, and both of them."""
        link = self.first + 2 + 12 * self._count(self.first)
        if link + 4 > len(self.data):
            return
        at = self._unpack("I", link)
        parts = sorted(self._parts(at))
        struct.pack_into(self.order + "I", self.data, link, 0)
        for start, stop in reversed(parts):
            self.data[start:stop] = bytes(stop - start)
            if stop == len(self.data):
                del self.data[start:]

    def _parts(self, at: int) -> Iterator[tuple[int, int]]:
        """Start and stop of the directory there and of the pictures that it points at."""
        size = len(self.data)
        if self._count(at):
            yield at, min(at + 6 + 12 * self._count(at), size)
        entries = self.entries(at)
        for place, length in ((_THUMBNAIL, _THUMBNAIL_LENGTH), (_STRIPS, _STRIP_LENGTHS)):
            start = self.number(entries.get(place), 0)
            stop = min(start + self.number(entries.get(length), 0), size)
            if 8 <= start < stop:
                yield start, stop
