"""Damaged and forged models: folders of model.json, coding.npz and weights.npz.

A forged description is JSON with impossible values; forged arrays have headers that claim what is
not there, or other kinds of array; a forged coder is one of other integers, whose fingerprint is
right, and which then codes latents, by compiled code.
"""

import contextlib
import copy
import dataclasses
import io
import json
import random
import re
import zipfile
from pathlib import Path
from typing import ClassVar

import numpy as np
from fuzz_changes import EXTREMES, HUGE, damaged, overwritten
from tiny_model import MODEL

from diffcomp.coding.bitstream import BitstreamError
from diffcomp.export.exported_model import ExportedModel, load
from diffcomp.export.shipped_models import ModelError

NAMES = ("model.json", "coding.npz", "weights.npz")
_KNOWN = load(MODEL)
VALUES = (
    *(0, -1, 3, 1000, 2**31, 2**63, 10**400, 1e308, -0.5, float("nan"), float("inf")),
    *("", "x" * 5000, "../../up", "/tmp/x", "a\nb", "\x1b[2J", None, True, [], {}, [[[]]]),
)  # fmt: skip
SHAPES = (b"(1099511627776,)", b"(0, 1099511627776)", b"(-1,)", b"(2, -3)", b"()", b"(1,) * 9")
TYPES = (b"|O", b"<U1000000", b"<f4", b"<c16", b"|V8", b"<M8[s]", b"[('a', '<f4')]", b"<i99")


def changed_description(random_: random.Random, data: bytes) -> bytes:
    """JSON in which one to three values, at any depth, have become others."""
    description = json.loads(data)
    for _ in range(random_.randrange(1, 4)):
        place = description
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = random_.choice(keys)
            if isinstance(place[key], (dict, list)) and random_.random() < 0.8:
                place = place[key]
                continue
            place[key] = copy.deepcopy(random_.choice(VALUES))
            break
    if random_.random() < 0.05:
        return b"[" * 100_000
    return json.dumps(description).encode()


def arrays_of(data: bytes) -> dict[str, bytes]:
    """The `.npy` files within an `.npz`."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


def forged_arrays(random_: random.Random, data: bytes) -> bytes:
    """An archive with an array that is none, or claims more than there is."""
    entries = arrays_of(data)
    name = random_.choice(list(entries))
    entry = entries[name]
    kind = random_.randrange(5)
    if kind == 0:
        entry = re.sub(rb"\([0-9, ]*\)", lambda _: random_.choice(SHAPES), entry, count=1)
    elif kind == 1:
        entry = re.sub(rb"'[<|]..'", b"'" + random_.choice(TYPES) + b"'", entry, count=1)
    elif kind == 2:
        entry = bytes(2**25)  # which is packed to 32 KiB
    elif kind == 3:
        stream = io.BytesIO()
        np.save(stream, np.array([{"an": "object"}], dtype=object))
        entry = stream.getvalue()
    else:
        entry = overwritten(random_, [entry])
    compression = random_.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    made = bytearray(archive_of(entries | {name: entry}, compression))
    if random_.random() < 0.3:  # sizes in the central directory
        places = [match.start() for match in re.finditer(re.escape(b"PK\1\2"), made)]
        at = random_.choice(places) + random_.choice((20, 24, 42))
        made[at : at + 4] = (random_.choice(HUGE) % 2**32).to_bytes(4, "little")
    return bytes(made)


def forged_coder(random_: random.Random, coding: bytes) -> bytes:
    """The integers of a coding part, some of them extreme, some arrays of another shape."""
    with np.load(io.BytesIO(coding)) as loaded:
        arrays = {name: loaded[name].copy() for name in loaded.files}
    for _ in range(random_.randrange(1, 3)):
        name = random_.choice(list(arrays))
        array = arrays[name]
        flat = array.reshape(-1)
        if random_.random() < 0.3:
            arrays[name] = random_.choice(
                (flat, array[:-1] if array.ndim else array, array[..., None], array.astype("f8"))
            )
        elif flat.size and array.dtype.kind in "iu":
            info = np.iinfo(array.dtype)
            for _ in range(random_.choice((1, 3, flat.size))):
                value = random_.choice((info.min, info.max, *EXTREMES, -1))
                flat[random_.randrange(flat.size)] = max(info.min, min(info.max, value))
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


class Models:
    """A part of `fuzz_files`."""

    kinds: ClassVar = {
        "damaged": {"refused", "read", "coded"},
        "forged description": {"refused", "read"},
        "forged arrays": {"refused", "read", "coded"},
        "forged coder": {"refused", "read", "coded"},
    }  # fmt: skip

    def __init__(self) -> None:
        self._files = {name: (MODEL / name).read_bytes() for name in NAMES}

    def case(self, kind: str, random_: random.Random) -> dict[str, bytes]:
        files = dict(self._files)
        name = random_.choice(NAMES)
        if kind == "damaged":
            files[name] = random_.choice((damaged, overwritten))(random_, [files[name]])
        elif kind == "forged description":
            files["model.json"] = changed_description(random_, files["model.json"])
        elif kind == "forged arrays":
            name = random_.choice(NAMES[1:])
            files[name] = forged_arrays(random_, files[name])
        else:
            files["coding.npz"] = forged_coder(random_, files["coding.npz"])
        return files

    def attempt(self, folder: Path) -> str:
        try:
            return _coded(_with_its_fingerprint(folder))
        except ModelError as error:
            if len(str(error)) > 100_000:
                return "refused at length"
            return "refused"


def _with_its_fingerprint(folder: Path) -> ExportedModel | None:
    """The model; one whose coder alone is another is told its fingerprint first."""
    try:
        return load(folder)
    except ModelError as error:
        found = re.search(r"has fingerprint (\w{8}), but", str(error))
        if not found:
            raise
    description = json.loads((folder / "model.json").read_bytes()) | {"fingerprint": found[1]}
    (folder / "model.json").write_text(json.dumps(description))
    return load(folder)


def _coded(model: ExportedModel) -> str:
    """Has a coder that is not the tiny model's code latents, and read noise."""
    if model.coder.fingerprint == _KNOWN.coder.fingerprint or model.config != _KNOWN.config:
        return "read"
    rng = np.random.default_rng(3)
    y = rng.normal(0, 4, (8, 12, model.config.latent_channels)).astype(np.float32)
    z = rng.normal(0, 4, (2, 3, model.config.hyper_channels)).astype(np.float32)
    with contextlib.suppress(BitstreamError, ValueError), np.errstate(all="ignore"):
        streams = model.coder.encode(y, z, 96)
        model.coder.decode(streams, y.shape[:2], 96)
        noise = dataclasses.replace(streams, y_stream=rng.bytes(200))
        model.coder.decode(noise, y.shape[:2], 96)
    return "coded"
