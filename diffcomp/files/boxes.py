"""What the boxes of AVIF, HEIF and JPEG 2000 say of colour and depth.

ISO 14496-12, 23008-12 and 15444-1. Pillow gives none of it but an AVIF's ICC profile.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_CONTAINERS = {b"meta", b"iprp", b"ipco", b"jp2h"}


@dataclass(frozen=True)
class BoxColor:
    """The colour of the primary item, each None where nothing is said."""

    icc: bytes | None = None
    codes: tuple[int, int] | None = None  # primaries and transfer by H.273
    bits: int | None = None  # of a sample


def box_color(data: bytes) -> BoxColor:
    """What colr boxes say of the picture; nothing of a file that is broken or of another kind."""
    try:
        boxes = list(_walk(memoryview(data), 0, len(data)))
        if any(kind == b"jp2h" for kind, _ in boxes):
            properties = [box for box in boxes if box[0] == b"colr"]
        else:
            properties = _primary_properties(boxes)
    except (struct.error, IndexError, ValueError):
        return BoxColor()
    icc = codes = bits = None
    for kind, body in properties:
        if kind == b"pixi" and len(body) > 5:
            bits = max(body[5:])
        if kind == b"colr" and body[:4] in (b"prof", b"rICC"):
            icc = icc or bytes(body[4:])
        elif kind == b"colr" and body[:4] == b"nclx" and len(body) >= 8:
            codes = codes or struct.unpack_from(">HH", body, 4)
        elif kind == b"colr" and body[:1] in (b"\2", b"\3"):  # of JPEG 2000
            icc = icc or bytes(body[3:])
    return BoxColor(icc, codes, bits)


def _walk(data: memoryview, start: int, stop: int) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and body of each box, and of those inside of boxes that may hold colour."""
    while start + 8 <= stop:
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        end = stop if size == 0 else start + size
        if end < body or end > stop:
            return
        yield kind, data[body:end]
        if kind in _CONTAINERS:
            yield from _walk(data, body + (4 if kind == b"meta" else 0), end)
        start = end


def _primary_properties(
    boxes: list[tuple[bytes, memoryview]],
) -> list[tuple[bytes, memoryview]]:
    """The properties that are associated with the primary item."""
    bodies = dict(reversed(boxes))  # the first of each kind
    if not {b"pitm", b"ipco", b"ipma"} <= set(bodies):
        return []
    pitm = bodies[b"pitm"]
    (primary,) = struct.unpack_from(">I" if pitm[0] else ">H", pitm, 4)
    ipco = bodies[b"ipco"]
    properties = list(_walk(ipco, 0, len(ipco)))
    return [properties[i - 1] for i in _associated(bodies[b"ipma"], primary) if i]


def _associated(ipma: memoryview, item: int) -> list[int]:
    """The property indexes, from 1, of an item by the item property association box."""
    version, wide = ipma[0], ipma[3] & 1
    (count,) = struct.unpack_from(">I", ipma, 4)
    at = 8
    for _ in range(count):
        (found,) = struct.unpack_from(">I" if version else ">H", ipma, at)
        at += 4 if version else 2
        size = ipma[at]
        at += 1
        indexes = struct.unpack_from(f">{size}{'H' if wide else 'B'}", ipma, at)
        at += size * (2 if wide else 1)
        if found == item:
            return [index & (0x7FFF if wide else 0x7F) for index in indexes]
    return []
