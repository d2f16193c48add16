"""Bytes changed at random, as accident and malice change them."""

import random
from collections.abc import Sequence

EXTREMES = (0, 1, 2, 63, 64, 65, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31, 2**32 - 1)
HUGE = (2**31 - 1, 2**32 - 1, 2**40, 2**62, 2**63 - 1)


def damaged(random_: random.Random, files: Sequence[bytes]) -> bytes:
    """A file with flips, a cut, a swap, a splice or a tail."""
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


def overwritten(random_: random.Random, files: Sequence[bytes]) -> bytes:
    """A file in which numbers of 1 to 8 bytes, wherever they are, have become extreme ones."""
    data = bytearray(random_.choice(files))
    for _ in range(random_.randrange(1, 4)):
        width = random_.choice((1, 2, 4, 8))
        order = random_.choice(("little", "big"))
        value = random_.choice((*EXTREMES, *HUGE)) % 256**width
        # Half of them near the start, where headers are.
        at = random_.randrange(min(len(data), 200) if random_.random() < 0.5 else len(data))
        data[at : at + width] = value.to_bytes(width, order)
    return bytes(data)
