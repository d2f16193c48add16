"""Random weights in the layout of FID's Inception-v3, the same in every environment."""

import zlib

import numpy as np


def random_tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32; its values depend on the name alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    kind = name.rpartition(".")[2]
    if kind == "running_var" or name.endswith("bn.weight"):
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith("conv.weight"):
        values = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
    else:
        values = rng.normal(0, 0.1, shape)
    return values.astype(np.float32)


def images() -> np.ndarray:
    """uint8 [2, 256, 256, 3]: noise, and a smooth pattern."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    row, column = np.indices((256, 256))
    smooth = np.stack([row, column, (row + column) // 2], axis=-1).astype(np.uint8)
    return np.stack([noise, smooth])
