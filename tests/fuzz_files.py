"""Damaged and forged `.dfc` files: each must end in BitstreamError, soon and in little memory.

    python tests/fuzz_files.py --minutes 10 --seed 1

Flips, cuts, swaps and splices of whole files, which the file's own CRC tells; and the same of what
a right CRC covers, fields at their extremes among it, which it does not. A damaged file that
decodes must give the pixels of a file that it was made from; a forged one may be a whole file of
another picture.
"""

import argparse
import random
import resource
import struct
import sys
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diffcomp.codec import Codec, load
from diffcomp.coding.bitstream import HEADER_BYTES, BitstreamError

GOLDEN = Path(__file__).parent / "golden"
# Offsets and formats of the header's fields after magic and version; docs/format.md has the table.
FIELDS = {"<I": (4, 13, 17, 21), "<H": (8, 10), "<B": (12,)}
CRC_OFFSET = 25
EXTREMES = (0, 1, 2, 63, 64, 65, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31, 2**32 - 1)
SLOW = 10.0  # seconds
ALLOWED = {
    "damaged": {"refused", "same pixels"},
    "forged": {"refused", "same pixels", "other pixels"},
}


class Outcome(NamedTuple):
    """What became of one file."""

    result: str  # "refused", "same pixels", "other pixels", or the name of a wrong exception
    seconds: float


def damaged(random_: random.Random, files: list[bytes]) -> bytes:
    """A file with flips, a cut, a swap or a splice."""
    data = bytearray(random_.choice(files))
    kind = random_.randrange(5)
    if kind == 0:
        for _ in range(random_.choice((1, 2, 8, 64))):
            data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
    elif kind == 1:
        del data[random_.randrange(len(data)) :]
    elif kind == 2:
        i, j = sorted(random_.randrange(len(data)) for _ in range(2))
        data[i:j] = data[i:j][::-1]
    elif kind == 3:
        other = random_.choice(files)
        at = random_.randrange(min(len(data), len(other)))
        data[at:] = other[at:]
    else:
        data += random_.randbytes(random_.choice((1, 4, 1000)))
    return bytes(data)


def forged(random_: random.Random, files: list[bytes]) -> bytes:
    """A file that was changed by someone who gave it a right CRC-32 again."""
    data = bytearray(damaged(random_, files) if random_.random() < 0.5 else random_.choice(files))
    if len(data) < HEADER_BYTES:
        return bytes(data)
    for _ in range(random_.randrange(1, 4)):
        form = random_.choice(list(FIELDS))
        offset = random_.choice(FIELDS[form])
        largest = 256 ** struct.calcsize(form) - 1
        value = random_.choice((random_.choice(EXTREMES), random_.randrange(largest + 1)))
        struct.pack_into(form, data, offset, min(value, largest))
    if random_.random() < 0.7:
        # Lengths that add up, so that what comes after them is reached.
        z = random_.randrange(len(data) - HEADER_BYTES + 1)
        struct.pack_into("<II", data, 13, z, len(data) - HEADER_BYTES - z)
    crc = zlib.crc32(data[HEADER_BYTES:], zlib.crc32(data[:CRC_OFFSET]))
    struct.pack_into("<I", data, CRC_OFFSET, crc)
    return bytes(data)


def attempt(codec: Codec, data: bytes, originals: dict[bytes, np.ndarray]) -> Outcome:
    """Decodes a file of `originals`, changed, and says what came out."""
    started = time.monotonic()
    try:
        pixels = codec.decompress(data)
        same = any(np.array_equal(pixels, original) for original in originals.values())
        result = "same pixels" if same else "other pixels"
    except BitstreamError:
        result = "refused"
    except Exception as error:
        result = type(error).__name__
    return Outcome(result, time.monotonic() - started)


def originals(codec: Codec) -> dict[bytes, np.ndarray]:
    """Whole files of a few shapes and qualities, and their pixels."""
    pictures = np.random.default_rng(1).integers(0, 256, (3, 70, 90, 3), np.uint8)
    shapes = ((70, 90), (16, 64), (1, 1))
    files = [
        codec.compress(picture[:height, :width], quality)
        for picture, (height, width) in zip(pictures, shapes, strict=True)
        for quality in (1.0, 8.0)
    ]
    return {data: codec.decompress(data) for data in files}


def main() -> int:
    """Tries files for some minutes and prints a table; returns 1 if any was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    codec = load(GOLDEN / "tiny_model")
    known = originals(codec)
    files, random_ = list(known), random.Random(args.seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts: Counter[tuple[str, str]] = Counter()
    slowest, end = 0.0, time.monotonic() + 60 * args.minutes
    while time.monotonic() < end:
        for make in (damaged, forged):
            data = make(random_, files)
            outcome = attempt(codec, data, known)
            counts[make.__name__, outcome.result] += 1
            slowest = max(slowest, outcome.seconds)
            if outcome.result not in ALLOWED[make.__name__] or outcome.seconds > SLOW:
                print(f"{make.__name__} {outcome.result} {outcome.seconds:.1f} s: {data.hex()}")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    for (kind, result), count in sorted(counts.items()):
        print(f"{kind:8s} {result:14s} {count}")
    print(f"slowest {slowest:.2f} s; memory grew by {grown / 1024:.0f} MiB")
    return int(slowest > SLOW or any(result not in ALLOWED[kind] for kind, result in counts))


if __name__ == "__main__":
    sys.exit(main())
