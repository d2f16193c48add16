"""What different versions of the libraries must write alike, or read of each other."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import small_model

from diffcomp.decode_settings import DecodeConfig
from diffcomp.export import exported_model
from diffcomp.training.checkpoint import Position

FOLDER = Path(__file__).parent / "golden" / "stacks"
# With as many groups and passes as the shipped model.
MODEL = dataclasses.replace(small_model.MODEL, group_starts=(0, 3, 7), group_passes=(4, 2, 2))
POSITION = Position(1, 7)  # of the checkpoints, of `small_states.state_at`


def export_sha256(folder: Path) -> str:
    """Exports a small model of NumPy's random numbers to `folder`; a hash of all its arrays.

    Not of its files: other versions of zlib may compress them otherwise.
    """
    params = small_model.random_params(MODEL, seed=5)
    decode = DecodeConfig(steps=1, gamma=0.0)
    model = exported_model.export("small", MODEL, params, {}, decode)
    exported_model.save(model, folder)
    digest = hashlib.sha256((folder / "model.json").read_bytes())
    for file in ("coding.npz", "weights.npz"):
        with np.load(folder / file) as arrays:
            for name in sorted(arrays):
                array = arrays[name]
                digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
                digest.update(array.tobytes())
    return digest.hexdigest()
