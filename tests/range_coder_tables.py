"""Tables and symbols for tests of the range coder's implementations, below the escapes.

Shapes: `lookup` is int32 [total], tables as precision and counts; see `PositionEncoder`.
"""

import importlib.util

import numpy as np

MAX_PRECISION = 16

# Arguments of `pytest.mark.skipif` for what runs TensorFlow Compression's ops.
TFC_MISSING = {
    "condition": any(
        importlib.util.find_spec(name) is None
        for name in ("tensorflow", "tensorflow_compression_ops")
    ),
    "reason": "tensorflow and tensorflow-compression-ops (Linux on x86-64) are not installed",
}


def random_table(rng: np.random.Generator, precision: int) -> np.ndarray:
    """Returns a precision and counts, int32: even, peaked, sparse or of the fewest symbols."""
    total = 2**precision
    shape = rng.choice(["one", "two", "even", "peaked", "random", "all"])
    if shape == "one":
        inner = []
    elif shape == "two":
        inner = [rng.choice([1, total // 2, total - 1])]
    elif shape == "even":
        inner = np.linspace(0, total, rng.integers(2, min(total, 300) + 1), dtype=int)[1:]
    elif shape == "peaked":  # one symbol has nearly everything, wherever it stands
        count = rng.integers(0, min(total, 300))
        before = rng.integers(0, count + 1)
        inner = np.append(np.arange(before), total - np.arange(count - before))
    elif shape == "random":
        inner = rng.integers(1, total, rng.integers(1, 300))
    else:  # one count each, which are many for the largest precisions
        inner = np.arange(total) if precision <= 10 or rng.random() < 0.1 else []
    counts = np.unique(np.concatenate([[0, total], inner]))
    return np.append(precision, counts).astype(np.int32)


def random_lookup(rng: np.random.Generator, tables: int) -> list[np.ndarray]:
    """Returns tables of all precisions in turn, from a random one down and around.

    Not up: the ops skip what repeats the last count of a table, and so would skip the precision of
    the next after 1 (which ends with 2), 2 (4), 3 (8) and 4 (16).
    """
    first = rng.integers(MAX_PRECISION)
    return [random_table(rng, 1 + (first - i) % MAX_PRECISION) for i in range(tables)]


def random_positions(
    rng: np.random.Generator, tables: list[np.ndarray], indexes: np.ndarray
) -> np.ndarray:
    """Returns positions in the tables named by `indexes`, int32 of their shape.

    As probable as the tables say, or evenly, or only the rarest and the first of each table.
    """
    kind = rng.choice(["as tables say", "even", "rare"])
    positions = np.zeros(indexes.shape, np.int32)
    for index in np.unique(indexes):
        precision, counts = tables[index][0], tables[index][1:]
        chosen = indexes == index
        if kind == "as tables say":
            drawn = rng.integers(0, 2**precision, chosen.sum())
            positions[chosen] = np.searchsorted(counts, drawn, side="right") - 1
        elif kind == "even":
            positions[chosen] = rng.integers(0, len(counts) - 1, chosen.sum())
        else:
            positions[chosen] = np.diff(counts).argmin() * (rng.random(chosen.sum()) < 0.9)
    return positions
