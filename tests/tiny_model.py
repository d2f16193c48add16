"""The tiny golden model, its test image, and what must never change about its golden file.

As a program, `python tests/tiny_model.py FILE...` prints the digest of each `.dfc` file as JSON:
tests run it in processes of their own, with other settings of JAX, XLA and BLAS.
"""

import dataclasses
import functools
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import skimage.data

from diffcomp.codec import Codec, load
from diffcomp.coding.grouped_coder import GroupedCoder
from diffcomp.coding.latent_coder import STEP_BITS, Part, Transfer, to_units

GOLDEN = Path(__file__).parent / "golden"
MODEL = GOLDEN / "tiny_model"
FILE = GOLDEN / "tiny.dfc"
DIGEST = GOLDEN / "tiny.json"
QUALITY = 5.5  # of tiny.dfc


def image() -> np.ndarray:
    """A face of odd size, whose last blocks are cut off: uint8 [75, 101, 3]."""
    return skimage.data.astronaut()[70:145, 170:271].copy()


@functools.cache
def codec() -> Codec:
    """The committed model, loaded once."""
    return load(MODEL)


class SeenPass(NamedTuple):
    """What one pass over a group of channels computed and transferred, each [n]."""

    mean: np.ndarray
    step: np.ndarray
    indexes: np.ndarray
    symbols: np.ndarray


class Run(NamedTuple):
    """One call of `encode` or `decode`."""

    y_hat: np.ndarray
    passes: tuple[SeenPass, ...]


class _Recorder:
    """A transfer, and what it saw of each pass."""

    def __init__(self, transfer: Transfer):
        self._transfer, self._parts = transfer, []
        self.passes: list[SeenPass] = []

    def part(self, coded: Part) -> np.ndarray:
        symbols = self._transfer.part(coded)
        self._parts.append(SeenPass(coded.mean, coded.steps, coded.indexes, symbols.copy()))
        return symbols

    def end_pass(self) -> list[tuple[np.ndarray, np.ndarray]]:
        corrections = self._transfer.end_pass()
        for part, (where, values) in zip(self._parts, corrections, strict=False):
            part.symbols.flat[where] = values
        none = np.zeros(0, np.int32)  # a picture of one position has no others
        of_pass = zip(SeenPass(none, none, none, none), *self._parts, strict=True)
        self.passes.append(SeenPass(*(np.concatenate([a.ravel() for a in s]) for s in of_pass)))
        self._parts = []
        return corrections


def spied(coder: GroupedCoder) -> tuple[GroupedCoder, list[Run]]:
    """The same coder, and a list to which each of its runs is added."""
    runs = []

    class Spied(GroupedCoder):
        def _code(
            self, z_symbols: np.ndarray, shape: tuple[int, int], code: int, transfer: Transfer
        ) -> tuple[np.ndarray, int]:
            recorder = _Recorder(transfer)
            y_hat, crc = super()._code(z_symbols, shape, code, recorder)
            runs.append(Run(to_units(y_hat), tuple(recorder.passes)))
            return y_hat, crc

    fields = (field.name for field in dataclasses.fields(GroupedCoder))
    return Spied(**{name: getattr(coder, name) for name in fields}), runs


def steps_of_each(coder: GroupedCoder, passes: Sequence[SeenPass], shape: tuple) -> np.ndarray:
    """Steps of y, float64 [h, w, C], in units of y."""
    steps = np.zeros(shape)
    places = in_order(coder, np.arange(steps.size).reshape(shape))
    for p, place in zip(passes, places, strict=True):
        steps.flat[place] = p.step * 2.0**-STEP_BITS
    return steps


def in_order(coder: GroupedCoder, y: np.ndarray) -> list[np.ndarray]:
    """y, or an array like it, as its passes code it."""
    return [
        np.concatenate([phase.of(y[None])[..., group.channels].ravel() for phase in phases])
        for group in coder.groups
        for phases in group.passes
    ]


def decode(model: Codec, data: bytes) -> Run:
    """What a decoder computes of a `.dfc` file before any float network."""
    coder, runs = spied(model.model.coder)
    Codec(dataclasses.replace(model.model, coder=coder)).read(data)
    return runs[0]


def digest(model: Codec, data: bytes) -> dict[str, int | str]:
    """Hashes of all that a decoder must get bit for bit."""
    run = decode(model, data)
    indexes = b"".join(p.indexes.astype("<i4").tobytes() for p in run.passes)
    return {
        "bytes": len(data),
        "fingerprint": f"{int.from_bytes(data[4:8], 'little'):08x}",
        "symbols_crc": f"{int.from_bytes(data[21:25], 'little'):08x}",
        "indexes_sha256": hashlib.sha256(indexes).hexdigest(),
        "y_hat_sha256": hashlib.sha256(run.y_hat.astype("<f4").tobytes()).hexdigest(),
    }


if __name__ == "__main__":
    print(json.dumps([digest(codec(), Path(path).read_bytes()) for path in sys.argv[1:]]))
