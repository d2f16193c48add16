"""Convolutions in integers, and what goes into them, over all values that they may have."""

import numpy as np

from diffcomp.coding.fixed_point import LARGEST, FixedPointConv


def random_conv(seed: int, side: int, n_in: int, n_out: int, bits: tuple) -> FixedPointConv:
    """Weights over all of int16, extremes included."""
    rng = np.random.default_rng(seed)
    kernel = rng.integers(-(2**15), 2**15, (side, side, n_in, n_out)).astype(np.int16)
    kernel.flat[:2] = LARGEST, -LARGEST - 1
    return FixedPointConv(kernel, rng.integers(-(2**40), 2**40, n_out), *bits)


def random_input(seed: int, *shape: int) -> np.ndarray:
    """Activations over all of 24 bits; a third of them are the extremes."""
    rng = np.random.default_rng(seed)
    h = rng.integers(-(2**23), 2**23, shape)
    extremes = rng.choice([-(2**23), 2**23 - 1], shape)
    return np.where(rng.random(shape) < 1 / 3, extremes, h).astype(np.float64)
