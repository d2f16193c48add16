"""Whether a JPEG that has no end marker has all of its picture."""

import io
import struct

import numpy as np
from PIL import Image

_END = b"\xff\xd9"
_FIRST_BITS = (0b10101010, 0b01010101, 0b11111110)  # where the missing ones may be few
_START_OF_SCAN, _PROGRESSIVE = 0xDA, (0xC2, 0xCA)
_FRAMES = (*range(0xC0, 0xC4), *range(0xC9, 0xCC))


def with_end(data: bytes) -> bytes | None:
    """The file with its end marker, or None unless only that is missing.

    libjpeg fills what is missing with grey and says so in a warning that Pillow keeps to itself. So
    the file is decoded several times, with other bits and every restart marker before the end: only
    a picture that needs no more bytes is always the same.
    """
    data = data.rstrip(b"\xff")  # half of the marker
    if not _scans_are_complete(data):
        return None
    try:
        plain = _pixels(data + _END)
        for first in _FIRST_BITS:
            if not np.array_equal(plain, _pixels(data + _disturbance(first) + _END)):
                return None
    except Exception:  # As many kinds as for broken pictures.
        return None
    return data + _END


def _disturbance(first: int) -> bytes:
    """Bytes that begin as given, then noise and restart markers, for a decoder that wants more."""
    noise = np.random.default_rng(first).integers(0, 255, (9, 64), np.uint8)  # 255 is a marker's
    restarts = b"".join(bytes((255, 0xD0 + i)) + noise[i].tobytes() for i in range(8))
    return bytes([first]) + noise[8].tobytes() + restarts


def _pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return np.asarray(image)


def _scans_are_complete(data: bytes) -> bool:
    """Whether the scans that have begun hold every bit of every coefficient of every component."""
    at, components, missing = 2, b"", np.zeros((0, 64), bool)
    progressive = False
    while at + 4 <= len(data):
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            break
        marker = data[at + 1]
        if marker == 0xD9:
            break
        if marker in (0, 1, 255) or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 255 else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + length]
        if marker in _FRAMES and len(body) >= 6 + 3 * body[5]:
            components, progressive = body[6 : 6 + 3 * body[5] : 3], marker in _PROGRESSIVE
            missing = np.ones((len(components), 64), bool)
        elif marker == _START_OF_SCAN and len(body) >= 4 + 2 * body[0]:
            first, last, bits = body[-3:]
            stop = last + 1 if progressive else 64
            for component in body[1 : 1 + 2 * body[0] : 2]:
                if component in components and not (progressive and bits & 15):
                    missing[components.index(component), first:stop] = False
        at += 2 + length
    return len(missing) > 0 and not missing.any()
