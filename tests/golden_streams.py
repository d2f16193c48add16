"""The golden streams: files of one frozen set of libraries, which every other must decode alike.

As a program, `python tests/golden_streams.py` prints what this machine decodes them to, as JSON:
the test runs it in processes of their own, with other settings of JAX, XLA and BLAS.
"""

import functools
import hashlib
import json
from pathlib import Path

import skimage.data

from diffcomp.codec import Codec, load
from diffcomp.export.published_import import import_cdc

GOLDEN = Path(__file__).parent / "golden"
FOLDER = GOLDEN / "streams"
DIGESTS = FOLDER / "digests.json"
# Name of a file -> its model and quality, None for a model of one rate.
CASES: dict[str, tuple[str, float | None]] = {
    "base_q1.dfc": ("base", 1),
    "base_q2.5.dfc": ("base", 2.5),
    "base_q4.dfc": ("base", 4),
    "base_q6.dfc": ("base", 6),
    "base_q8.dfc": ("base", 8),
    "xparam_tiny.dfc": ("xparam_tiny", None),
    "epsilonparam_tiny.dfc": ("epsilonparam_tiny", None),
}

# Models that are imported anew: their integers follow from floats, which depend on how XLA is told
# to compile (JAX 0.5.3 without optimisation, as the tests set it, rounds xparam_tiny's otherwise).
IMPORTED = ("xparam_tiny.dfc", "epsilonparam_tiny.dfc")


def image():
    """A face, whose sides are no multiples of anything: uint8 [130, 169, 3]."""
    return skimage.data.astronaut()[50:180, 150:319].copy()


@functools.cache
def codec(model: str) -> Codec:
    """The shipped model, or one of the tiny published ones, imported here."""
    if model == "base":
        return load(model)
    return Codec(import_cdc(GOLDEN / "cdc" / f"{model}.pt"))


def digest(model: str, data: bytes) -> dict:
    """What a decoder must get bit for bit of a file: sizes and a hash of y_hat, float32."""
    y_hat, _, info = codec(model).read(data)
    return {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "fingerprint": f"{info.fingerprint:08x}",
        "y_hat_shape": list(y_hat.shape),
        "y_hat_sha256": hashlib.sha256(y_hat.astype("<f4").tobytes()).hexdigest(),
    }


def digests() -> dict[str, dict]:
    """Those of all files, by name."""
    return {name: digest(model, (FOLDER / name).read_bytes()) for name, (model, _) in CASES.items()}


if __name__ == "__main__":
    print(json.dumps(digests()))
