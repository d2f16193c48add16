"""Integer CDF tables: the probabilities that encoder and decoder must share bit for bit.

A table lists the symbols `offset, offset + 1, ...` and, as its last entry, an escape that stands
for every other integer (`range_coder` says how the value then follows). Probabilities are counts
of 1 / 2**16, so a table is its cumulative counts `cdf_0 = 0 < cdf_1 < ... < cdf_n = 2**16`.

The tables of a model lie one after another in `CdfTables.lookup`, each preceded by its precision:
`[16, cdf_0, ..., cdf_n, 16, cdf_0, ...]`, the layout of TensorFlow Compression's range coder ops.

Everything here uses floating point and may round differently elsewhere. Tables are therefore made
once, when a model is exported, and saved with it. Coding never recomputes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

PRECISION = 16
TOTAL = 1 << PRECISION

# The largest magnitude up to which float32 latents hold every integer.
MAX_SYMBOL = 1 << 24
MAX_OFFSET = 1 << 16

# An escape is followed by the bit length and the sign of its excess (uniform over 64 values).
ESCAPE_HEADER_BITS = 6

# The mass a Gaussian table leaves to its escape, both tails together. A larger mass makes escapes
# frequent, which are dear; a smaller one makes wide tables spend counts on a thousand symbols of
# the tail that deserve less than the one count each must have. The mass of least expected length
# is 2**-11 at scale 256, 2**-14 at 40, and less for smaller scales. With 2**-14 for all, the
# length exceeds the entropy by less than 0.0004 bit a symbol up to scale 45 and by 0.005 of 10
# bits at 256, and there is room for latents whose tails are heavier than a Gaussian's.
GAUSSIAN_TAIL_MASS = 2.0**-14

# Deviation of y in quantisation steps below which a finer scale saves nothing.
SMALLEST_SCALE = 0.11


@dataclass(frozen=True, eq=False)
class CdfTables:
    """Cumulative counts of several distributions over the integers, checked when made.

    Raises:
      ValueError: if the arrays are not int32 vectors, do not have the layout above, or differ in
        their number of tables.
    """

    lookup: np.ndarray  # int32 [total]: precision and CDF of each table, concatenated
    offsets: np.ndarray  # int32 [n]: the value of symbol 0 of each table

    def __post_init__(self) -> None:
        for name, array in (("lookup", self.lookup), ("offsets", self.offsets)):
            if not isinstance(array, np.ndarray) or array.dtype != np.int32 or array.ndim != 1:
                described = f"{getattr(array, 'dtype', type(array))} {np.shape(array)}"
                raise ValueError(f"{name} must be an int32 vector, found {described}")
        _check_layout(self.lookup)
        if len(self.offsets) != len(self.starts):
            raise ValueError(
                f"lookup holds {len(self.starts)} tables but there are {len(self.offsets)} offsets"
            )
        if np.any(np.abs(self.offsets.astype(np.int64)) > MAX_OFFSET):
            raise ValueError(f"offsets must lie within ±{MAX_OFFSET}, found {self.offsets}")

    def __len__(self) -> int:
        """The number of tables."""
        return len(self.offsets)

    @cached_property
    def starts(self) -> np.ndarray:
        """int64 [n]: position in `lookup` of each table's precision."""
        ends = np.flatnonzero(self.lookup == TOTAL) + 1
        return np.concatenate([np.zeros(1, ends.dtype), ends[:-1]])

    @cached_property
    def sizes(self) -> np.ndarray:
        """int64 [n]: number of symbols of each table, the escape included."""
        return np.diff(self.starts, append=len(self.lookup)) - 2

    def cdf(self, index: int) -> np.ndarray:
        """Returns the CDF of one table, int32 [sizes[index] + 1]."""
        start = self.starts[index] + 1
        return self.lookup[start : start + self.sizes[index] + 1]


def _check_layout(lookup: np.ndarray) -> None:
    """Raises ValueError unless every table reads 16, 0, strictly increasing counts, 2**16."""
    if len(lookup) == 0 or lookup[-1] != TOTAL:
        raise ValueError(f"lookup must end with {TOTAL}, found {lookup[-1:].tolist()}")
    ends = np.flatnonzero(lookup == TOTAL) + 1
    starts = np.concatenate([[0], ends[:-1]])
    for table, (start, end) in enumerate(zip(starts, ends, strict=True)):
        row = lookup[start:end]
        if len(row) < 3 or row[0] != PRECISION or row[1] != 0:
            raise ValueError(
                f"table {table} must be {PRECISION}, 0, ..., {TOTAL}, found {row[:3].tolist()}..."
            )
        if np.any(np.diff(row[1:].astype(np.int64)) < 1):
            raise ValueError(f"table {table} must give every symbol a count of at least 1")


def quantize_pmf(pmf: np.ndarray) -> np.ndarray:
    """Rounds a distribution to counts of 1 / 2**16 with the least Kullback-Leibler divergence.

    The code length sum(-p log2(counts / 2**16)) is convex and separable, so starting at one count
    each and always giving the next count to the symbol that gains most is optimal. The gain of
    going from c to c + 1 counts is p log(1 + 1/c); instead of 2**16 steps, a bisection finds the
    gain above which all steps are taken. Ties go to the symbol that comes first.

    Args:
      pmf: float [n], 1 <= n <= 2**16, non-negative; it is normalised here.

    Returns:
      int32 [n + 1]: strictly increasing counts from 0 to 2**16.

    Raises:
      ValueError: if `pmf` has another shape, or entries that are negative or not finite, or no
        mass at all.
    """
    pmf = np.asarray(pmf, np.float64)
    if pmf.ndim != 1 or not 1 <= len(pmf) <= TOTAL:
        raise ValueError(f"pmf must be a vector of 1 to {TOTAL} entries, found shape {pmf.shape}")
    if not np.all(pmf >= 0) or not 0 < pmf.sum() < np.inf:
        raise ValueError("pmf must be finite and non-negative with a positive sum")
    pmf = pmf / pmf.sum()

    def counts_above(gain: float) -> np.ndarray:
        with np.errstate(divide="ignore", over="ignore"):
            return 1.0 + np.floor(1.0 / np.expm1(gain / pmf))

    # The first gain takes no step; the second takes far more than 2**16. The bisection ends with
    # neighbouring floats.
    high, low = 1.0, 2.0**-40
    for _ in range(64):
        middle = np.sqrt(low * high)
        if counts_above(middle).sum() > TOTAL:
            low = middle
        else:
            high = middle
    counts = counts_above(high).astype(np.int64)
    # What is left are steps of equal gain. No symbol has two of them: they differ by 1/c > 2**-16.
    gains = pmf * np.log1p(1.0 / counts)
    counts[np.argsort(-gains, kind="stable")[: TOTAL - counts.sum()]] += 1
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


def tables_from_pmfs(pmfs: Sequence[np.ndarray], offsets: Sequence[int]) -> CdfTables:
    """Makes one table for each probability mass function.

    Args:
      pmfs: one float [n_i] for each table: the probabilities of `offset, offset + 1, ...`. They
        sum to at most 1; what is missing to 1 is the probability of the escape.
      offsets: the value of the first entry of each pmf.

    Raises:
      ValueError: if the numbers of pmfs and offsets differ, or a pmf is empty, negative, not
        finite, or sums to more than 1 (beyond float32 rounding).
    """
    if len(pmfs) == 0 or len(pmfs) != len(offsets):
        raise ValueError(f"need as many offsets as pmfs, found {len(offsets)} for {len(pmfs)}")
    rows: list[np.ndarray] = []
    for table, pmf in enumerate(pmfs):
        pmf = np.asarray(pmf, np.float64)
        if pmf.ndim != 1 or len(pmf) == 0 or not np.all(pmf >= 0):
            raise ValueError(f"pmf {table} must be a non-empty vector without negatives or NaN")
        if not pmf.sum() <= 1.0 + 1e-4:
            raise ValueError(f"pmf {table} must sum to at most 1, found {pmf.sum()}")
        with_escape = np.append(pmf, max(0.0, 1.0 - pmf.sum()))
        rows += [np.array([PRECISION]), quantize_pmf(with_escape)]
    return CdfTables(np.concatenate(rows).astype(np.int32), np.asarray(offsets, np.int32))


def gaussian_scales(
    count: int = 64, smallest: float = SMALLEST_SCALE, largest: float = 256.0
) -> np.ndarray:
    """Returns `count` scales, evenly spaced in their logarithm, float64 [count].

    The defaults are those of Balle et al., "Variational image compression with a scale
    hyperprior" (2018), as released with TensorFlow Compression.

    Raises:
      ValueError: unless count >= 2 and 0 < smallest < largest.
    """
    if count < 2 or not 0 < smallest < largest:
        raise ValueError(
            f"need count >= 2 and 0 < smallest < largest, found {count}, {smallest}, {largest}"
        )
    return np.exp(np.linspace(np.log(smallest), np.log(largest), count))


def gaussian_tables(scales: np.ndarray) -> CdfTables:
    """Makes one table for round(N(0, scale**2)) for each scale; each is exactly symmetric.

    Table i covers -r..r, with r the smallest radius that leaves at most `GAUSSIAN_TAIL_MASS`.

    Args:
      scales: float [n], standard deviations.

    Raises:
      ValueError: if there are none, or one is not above 0 and at most 4096, where giving one count
        to each symbol already takes half of all counts.
    """
    scales = np.asarray(scales, np.float64)
    if scales.ndim != 1 or scales.size == 0 or not np.all((scales > 0) & (scales <= 4096)):
        raise ValueError(f"scales must be a non-empty vector within (0, 4096], found {scales}")
    tables = [_gaussian_cdf(scale) for scale in scales]
    lookup = np.concatenate([np.append(PRECISION, cdf) for cdf in tables])
    offsets = [-((len(cdf) - 2) // 2) for cdf in tables]
    return CdfTables(lookup.astype(np.int32), np.asarray(offsets, np.int32))


def _gaussian_cdf(scale: float) -> np.ndarray:
    """Returns the CDF of -r..r and the escape for one scale, int32 [2 r + 3]."""
    # Imported late: it takes a third of a second, and coding uses tables that are made already.
    from scipy.special import ndtr, ndtri

    radius = max(1, int(np.ceil(-scale * ndtri(GAUSSIAN_TAIL_MASS / 2) - 0.5)))
    # Differences of the lower tail keep their precision where 1 - tail would not.
    below = ndtr((0.5 - np.arange(radius + 2)) / scale)
    side = below[1:-1] - below[2:]
    centre = 1.0 - 2.0 * below[1]
    pmf = np.concatenate([side[::-1], [centre], side, [2.0 * below[-1]]])
    counts = np.diff(quantize_pmf(pmf))
    # Of two equal symbols the rounding may have favoured the first: give such counts to the centre.
    side_counts = np.minimum(counts[:radius][::-1], counts[radius + 1 : -1])
    counts[:radius], counts[radius + 1 : -1] = side_counts[::-1], side_counts
    counts[radius] += TOTAL - counts.sum()
    return np.concatenate([[0], np.cumsum(counts)])


def escape_excess(tables: CdfTables, symbols: np.ndarray, indexes: np.ndarray) -> np.ndarray:
    """Returns how far each symbol lies outside its table, int64 like `symbols`.

    0 for symbols inside; 1, 2, ... for those above the last; -1, -2, ... below the first.
    """
    position = symbols.astype(np.int64) - tables.offsets[indexes]
    above = position - (tables.sizes[indexes] - 1)
    return np.where(position < 0, position, np.maximum(above + 1, 0))


def information(tables: CdfTables, symbols: np.ndarray, indexes: np.ndarray) -> float:
    """Returns the ideal length, in bits, of `symbols` coded with the tables named by `indexes`.

    This is -log2 of the table's probability, and for a symbol outside of its table the escape's
    plus the bits of the excess e that follow it: `ESCAPE_HEADER_BITS` + floor(log2 |e|).

    Args:
      symbols: integers of any shape, within ±`MAX_SYMBOL`.
      indexes: integers of the same shape, 0 <= index < len(tables).
    """
    symbols, indexes = np.asarray(symbols).ravel(), np.asarray(indexes).ravel()
    excess = np.abs(escape_excess(tables, symbols, indexes))
    escape = tables.sizes[indexes] - 1
    position = np.where(excess > 0, escape, symbols - tables.offsets[indexes])
    lower = tables.starts[indexes] + 1 + position
    counts = tables.lookup[lower + 1] - tables.lookup[lower]
    escape_bits = ESCAPE_HEADER_BITS + np.floor(np.log2(np.maximum(excess, 1)))
    return float(np.sum(PRECISION - np.log2(counts)) + np.sum(escape_bits[excess > 0]))
