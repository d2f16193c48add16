"""Damaged and forged weights: files of PyTorch, for `import-cdc` and for Inception's weights.

A forged archive claims sizes that it does not have; a forged pickle is any sequence of operations,
or one of those that take time and memory out of proportion (see `bombs`).
"""

import contextlib
import io
import pickle
import random
import re
import struct
import zipfile
from pathlib import Path
from typing import ClassVar

from fuzz_changes import HUGE, damaged, overwritten
from tiny_model import GOLDEN
from torch_files import name, plain, tensor, tuple_of

from diffcomp.export.published_import import load_cdc
from diffcomp.files.torch_file import WeightsError, read_tensors
from diffcomp.published.weights import read_weights

ROOT_ENTRY = "archive/"


def forged_archive(random_: random.Random, data: bytes) -> bytes:
    """Sizes and offsets of a random entry of the zip archive, in either of its two headers."""
    result = bytearray(data)
    mark, fields = random_.choice(((b"PK\1\2", (20, 24, 42)), (b"PK\3\4", (18, 22))))
    places = [match.start() for match in re.finditer(re.escape(mark), data)]
    for _ in range(random_.randrange(1, 4)):
        at = random_.choice(places) + random_.choice(fields)
        struct.pack_into("<I", result, at, random_.choice(HUGE) % 2**32)
    return bytes(result)


def archive_of(content: bytes) -> bytes:
    """A file of PyTorch with this pickle and one storage of 6 values."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(f"{ROOT_ENTRY}data.pkl", content)
        archive.writestr(f"{ROOT_ENTRY}data/0", bytes(24))
    return stream.getvalue()


def any_pickle(random_: random.Random) -> bytes:
    """Operations in a random order, some with what PyTorch's files have."""
    pieces = [bytes([code]) for code in pickle._Unpickler.dispatch]
    pieces += [
        *(tensor("0", 6), plain("model"), plain("w"), plain(2**40), b"}", b"(", b"u", b"t", b"]"),
        *(name("collections", "OrderedDict"), name("torch", "FloatStorage"), b"R", b"Q", b"b"),
        pickle.LONG_BINPUT + struct.pack("<I", random_.choice(HUGE) % 2**32),
        pickle.BINUNICODE8 + struct.pack("<Q", random_.choice(HUGE)),
        pickle.FRAME + struct.pack("<Q", random_.choice(HUGE)),
        pickle.LONG4 + struct.pack("<i", random_.choice(HUGE) % 2**31),
    ]
    chosen = random_.choices(pieces, k=random_.choice((3, 10, 40)))
    return b"\x80\x02" + b"".join(chosen) + b"."


def bombs() -> list[bytes]:
    """Pickles of a few bytes that would take gigabytes or years."""
    doubled = b"K\1" + b"2\x86" * 60  # ((((1, 1), (1, 1)), ...): 2**60 ones, to hash or to print
    model = b"\x80\x02}X\x05\0\0\0model}("
    return [
        b"\x80\x02]" + pickle.LONG_BINPUT + struct.pack("<I", 2**31) + b".",
        b"\x80\x02}" + doubled + b"K\1s.",
        b"\x80\x02" + name("collections", "OrderedDict") + b"](]" + doubled + b"K\1ea\x85R.",
        b"\x80\x02" + doubled + b"Q.",
        b"\x80\x02" + b"}" * 2**20 + b".",
        model + plain("w") + tensor("0", 6, shape=(6,)).replace(plain((6,)), doubled) + b"us.",
        b"\x80\x02" + tuple_of(*[plain("x" * 1000)] * 1000) + b"Q.",
        b"\x80\x02" + pickle.BYTEARRAY8 + struct.pack("<Q", 2**35) + b".",
    ]


class Weights:
    """A part of `fuzz_files`."""

    kinds: ClassVar = {
        "damaged": {"refused", "read"},
        "forged sizes": {"refused", "read"},
        "forged pickle": {"refused", "read"},
    }  # fmt: skip

    def __init__(self) -> None:
        names = ("cdc/xparam_tiny.pt", "torch_2_13.pth", "torch_1_5.pth")
        # The first has a thousand times the bytes of the others, and is as rare as it is dear.
        large, *small = ((GOLDEN / file).read_bytes() for file in names)
        self._files, self._archives = [large, *small * 8], [large, *small[:1] * 16]
        self._bombs = bombs()
        load_cdc(GOLDEN / "cdc" / "xparam_tiny.pt")  # imports what traces networks

    def case(self, kind: str, random_: random.Random) -> dict[str, bytes]:
        if kind == "damaged":
            change = random_.choice((damaged, overwritten))
            return {"case.pt": change(random_, self._files)}
        if kind == "forged sizes":
            return {"case.pt": forged_archive(random_, random_.choice(self._archives))}
        data = random_.choice(self._bombs) if random_.random() < 0.1 else any_pickle(random_)
        return {"case.pt": archive_of(data) if random_.random() < 0.5 else data}

    def attempt(self, folder: Path) -> str:
        """As `import-cdc` reads it, and as a reader that wants all tensors there are."""
        path, result = folder / "case.pt", "refused"
        readers = [read_weights, lambda file: read_tensors(file, _all_tensors)]
        if path.stat().st_size % 16 == 0:  # now and then: it traces all networks
            readers.append(load_cdc)
        for read in readers:
            with contextlib.suppress(WeightsError):
                read(path)
                result = "read"
        return result


def _all_tensors(content: object) -> dict[str, object]:
    if not isinstance(content, dict):
        raise WeightsError("it is no dictionary.")
    found = content.get("model", content)
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}
