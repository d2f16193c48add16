"""ICC profiles read directly, where Little CMS's 8 bits by way of Pillow are too few.

Only profiles of matrix and curves, or of a grey curve (ICC.1:2022, sections 8.3.3, 8.3.4, 10.6 and
10.18).
"""

import struct

import numpy as np

from diffcomp.files.rgb_space import SRGB, Curve, RgbSpace, power, sampled

_HEADER = 128


def tags_of(icc: bytes) -> dict[bytes, bytes]:
    """The tags of a profile by their signatures; empty if it has no table of tags."""
    if len(icc) < _HEADER + 4:
        return {}
    (count,) = struct.unpack_from(">I", icc, _HEADER)
    tags = {}
    for index in range(min(count, (len(icc) - _HEADER - 4) // 12)):
        name, start, size = struct.unpack_from(">4sII", icc, _HEADER + 4 + 12 * index)
        tags[name] = icc[start : start + size]
    return tags


def coded_transfer(icc: bytes) -> int | None:
    """The transfer characteristics (H.273) that a profile's cicp tag names, None without."""
    tag = tags_of(icc).get(b"cicp", b"")
    return tag[9] if len(tag) >= 12 and tag[:4] == b"cicp" else None


def space_of_profile(icc: bytes, name: str) -> RgbSpace | None:
    """The space of a profile of matrix and curves, or of a grey curve; None for other kinds.

    A profile that also has tables (A2B) means them, and is of another kind.
    """
    tags = tags_of(icc)
    if icc[20:24] != b"XYZ " or any(tag.startswith(b"A2B") for tag in tags):
        return None
    try:
        if icc[16:20] == b"GRAY":
            return RgbSpace(name, SRGB.to_xyz, (_curve(tags[b"kTRC"]),) * 3, True)
        if icc[16:20] != b"RGB ":
            return None
        columns = [_xyz(tags[tag]) for tag in (b"rXYZ", b"gXYZ", b"bXYZ")]
        red, green, blue = (_curve(tags[tag]) for tag in (b"rTRC", b"gTRC", b"bTRC"))
    except (KeyError, ValueError, struct.error):
        return None
    return RgbSpace(name, np.array(columns).T, (red, green, blue))


def _xyz(tag: bytes) -> tuple[float, ...]:
    if tag[:4] != b"XYZ ":
        raise ValueError("a colorant is no XYZ")
    return tuple(value / 65536 for value in struct.unpack_from(">3i", tag, 8))


def _curve(tag: bytes) -> Curve:
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return power(1.0)
        table = np.frombuffer(tag, ">u2", count, 12)
        return power(table[0] / 256) if count == 1 else sampled(table / 65535)
    if tag[:4] != b"para":
        raise ValueError("a curve is of an unknown type")
    (kind,) = struct.unpack_from(">H", tag, 8)
    counts = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}
    if kind not in counts:
        raise ValueError(f"a parametric curve is of function {kind}")
    values = [v / 65536 for v in struct.unpack_from(f">{counts[kind]}i", tag, 12)]
    return _parametric(kind, values)


def _parametric(kind: int, values: list[float]) -> Curve:
    """Functions 0 to 4 as one: (a x + b)^g + e from x = d on, and c x + f below."""
    g, *rest = values
    a, b, c, d, e, f = (rest + [0.0] * 6)[:6]
    if kind == 0:
        a = 1.0
    elif kind in (1, 2):
        if not a:
            raise ValueError("a parametric curve divides by zero")
        c, d, e, f = 0.0, -b / a, c, c
    return lambda x: np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f)
