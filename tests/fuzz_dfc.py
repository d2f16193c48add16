"""Damaged and forged `.dfc` files.

Flips, cuts, swaps and splices of whole files, which the file's own CRC tells; and the same of what
a right CRC covers, fields at their extremes among it, which it does not. A damaged file that
decodes must give the pixels of a file that it was made from; a forged one may be a whole file of
another picture.
"""

import random
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from fuzz_changes import EXTREMES, damaged
from tiny_model import MODEL

from diffcomp.codec import Codec, load
from diffcomp.coding import bitstream
from diffcomp.coding.bitstream import CHUNK_LENGTHS_BYTES, HEADER_BYTES, BitstreamError
from diffcomp.coding.metadata import Metadata, pack_metadata, unpack_metadata

# Offsets and formats of the header's fields after magic and version; docs/format.md has the table.
# The last two are the lengths of the chunks, in files of version 2; in others they are of a stream.
FIELDS = {"<I": (4, 13, 17, 21, 29, 33), "<H": (8, 10), "<B": (3, 12)}
CRC_OFFSET = 25
ALLOWED = {
    "damaged": {"refused", "same pixels"},
    "forged": {"refused", "same pixels", "other pixels"},
}


def forged(random_: random.Random, files: list[bytes]) -> bytes:
    """A file that was changed by someone who gave it a right CRC-32 again."""
    data = bytearray(damaged(random_, files) if random_.random() < 0.5 else random_.choice(files))
    if len(data) < HEADER_BYTES + CHUNK_LENGTHS_BYTES:
        return bytes(data)
    for _ in range(random_.randrange(1, 4)):
        form = random_.choice(list(FIELDS))
        offset = random_.choice(FIELDS[form])
        largest = 256 ** struct.calcsize(form) - 1
        value = random_.choice((random_.choice(EXTREMES), random_.randrange(largest + 1)))
        struct.pack_into(form, data, offset, min(value, largest))
    if random_.random() < 0.7:
        _add_up(random_, data)
    crc = zlib.crc32(data[HEADER_BYTES:], zlib.crc32(data[:CRC_OFFSET]))
    struct.pack_into("<I", data, CRC_OFFSET, crc)
    return bytes(data)


def _add_up(random_: random.Random, data: bytearray) -> None:
    """Gives the file lengths that add up, so that what comes after them is reached."""
    left = len(data) - HEADER_BYTES
    if data[3] == bitstream.VERSION_WITH_CHUNKS:
        left -= CHUNK_LENGTHS_BYTES
        flat = random_.randrange(left + 1)
        metadata = random_.randrange(left - flat + 1)
        struct.pack_into("<II", data, HEADER_BYTES, flat, metadata)
        left -= flat + metadata
    z = random_.randrange(left + 1)
    struct.pack_into("<II", data, 13, z, left - z)


def attempt(codec: Codec, data: bytes, originals: dict[bytes, np.ndarray]) -> str:
    """Decodes a file of `originals`, changed, metadata first, and says what came out."""
    try:
        unpack_metadata(bitstream.unpack(data).metadata)
        pixels = codec.decompress(data)
    except BitstreamError:
        return "refused"
    same = any(np.array_equal(pixels, original) for original in originals.values())
    return "same pixels" if same else "other pixels"


def originals(codec: Codec) -> dict[bytes, np.ndarray]:
    """Whole files of a few shapes and qualities, some with areas or metadata, and their pixels."""
    pictures = np.random.default_rng(1).integers(0, 256, (3, 70, 90, 3), np.uint8)
    shapes = ((70, 90), (16, 64), (1, 1))
    files = [
        codec.compress(picture[:height, :width], quality)
        for picture, (height, width) in zip(pictures, shapes, strict=True)
        for quality in (1.0, 8.0)
    ]
    graphic = pictures[0].copy()
    graphic[8:60, 10:40], graphic[20:, 50:] = 255, (200, 30, 30)
    files += [codec.compress(graphic, 1.0), codec.compress(pictures[1] * 0 + 9, 1.0)]
    chunk = pack_metadata(Metadata(exif=b"II*\0" + bytes(60), xmp=b"<x:xmpmeta/>" * 9))
    for whole in (files[2], files[-2]):
        files.append(bitstream.pack(replace(bitstream.unpack(whole), metadata=chunk)))
    return {data: codec.decompress(data) for data in files}


class Files:
    """A part of `fuzz_files`."""

    kinds: ClassVar = ALLOWED

    def __init__(self) -> None:
        self._codec = load(MODEL)
        self._known = originals(self._codec)

    def case(self, kind: str, random_: random.Random) -> dict[str, bytes]:
        change = {"damaged": damaged, "forged": forged}[kind]
        return {"case.dfc": change(random_, list(self._known))}

    def attempt(self, folder: Path) -> str:
        return attempt(self._codec, (folder / "case.dfc").read_bytes(), self._known)
