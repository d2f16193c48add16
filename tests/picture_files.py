"""Picture files and ICC profiles made byte by byte, and the formulae of their colours."""

import struct
import zlib

import numpy as np

# Display P3 and sRGB primaries, adapted to the profile connection space's white (D50) by the
# Bradford transform; one column per primary.
P3_TO_XYZ = np.array(
    [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
SRGB_TO_XYZ = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
GAMMA = 563 / 256


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, clipped to 0..1 and scaled to 0..255."""
    linear = np.clip(linear, 0, 1)
    low, high = 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    return 255 * np.where(linear <= 0.0031308, low, high)


def png(width: int, height: int, depth: int, color_type: int, rows: bytes, *chunks) -> bytes:
    """A PNG from raw rows, each with its filter byte; chunks are (name, data) before the rows."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff(width: int, bits: int, sample_format: int, white_is_zero: bool, row: bytes) -> bytes:
    """A little-endian TIFF of one grey row."""
    long, short = 4, 3
    tags = [(256, long, width), (257, long, 1), (258, short, bits), (259, short, 1)]
    tags += [(262, short, 0 if white_is_zero else 1), (273, long, 8), (277, short, 1)]
    tags += [(278, long, 1), (279, long, len(row)), (339, short, sample_format)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(row)) + row + directory


def icc_profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC version 2 profile named "made by hand"."""
    name = b"made by hand\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": xyz_tag([0.9642, 1.0, 0.8249]),
        **tags,
    }
    table, body = b"", b""
    for key, value in tags.items():
        table += struct.pack(">4sII", key, 132 + 12 * len(tags) + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    header = struct.pack(
        ">I4xI4s4s4s12s4s28x",
        132 + len(table) + len(body),
        0x02400000,
        kind,
        space,
        connection,
        bytes([7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]),
        b"acsp",
    )
    header += xyz_tag([0.9642, 1.0, 0.8249])[8:] + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + body


def xyz_tag(values: list[float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * v) for v in values))


def curve_tag(entries: list[int]) -> bytes:
    return b"curv" + bytes(4) + struct.pack(f">I{len(entries)}H", len(entries), *entries)


def rgb_profile(to_xyz: np.ndarray, curve: bytes) -> bytes:
    tags = {
        name: xyz_tag(column)
        for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_xyz.T, strict=True)
    }
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return icc_profile(b"mntr", b"RGB ", b"XYZ ", tags)


def cmyk_profile() -> bytes:
    """Neutral ink: L* = 100 - 25 (C + M + Y + K), inks in 0..1, as an 8-bit table (lut8Type)."""
    lightness = [255 - round(255 * bin(node).count("1") / 4) for node in range(16)]
    table = b"".join(bytes([value, 128, 128]) for value in lightness)
    identity = struct.pack(">9i", *(65536 * np.eye(3, dtype=int).ravel()))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + bytes(range(256)) * 4 + table
    return icc_profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut + bytes(range(256)) * 3})
