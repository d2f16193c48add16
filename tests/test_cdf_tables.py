"""Tests of the CDF tables: their contract, the optimality of the rounding, the cost of tails."""

import numpy as np
import pytest
from scipy.special import ndtr

from diffcomp.coding.cdf_tables import (
    GAUSSIAN_TAIL_MASS,
    TOTAL,
    CdfTables,
    gaussian_scales,
    gaussian_tables,
    information,
    quantize_pmf,
    tables_from_pmfs,
)

RNG = np.random.default_rng(0)
PMFS = {
    "one": np.array([1.0]),
    "zeros": np.array([0.0, 0.5, 0.0, 0.5, 0.0]),
    "skewed": np.array([1.0 - 1e-9, 1e-9]),
    "uniform": np.full(777, 1 / 777),
    "uniform, many ties left": np.full(40_000, 1 / 40_000),
    "one count each": RNG.random(TOTAL),
    "geometric": 0.5 ** np.arange(60),
    "dirichlet": RNG.dirichlet(np.full(300, 0.1)),
    "cauchy": 1 / (1 + (np.arange(-2000, 2001) / 30) ** 2),
    "subnormal": np.array([5e-324, 1.0]),
    "not normalised": np.array([3.0, 5.0, 8.0]),
}


def rounded_gaussian(scale: float) -> np.ndarray:
    """The probabilities of round(N(0, scale**2)) from -12 to 12 scales, float64."""
    radius = int(12 * scale) + 3
    below = ndtr((0.5 - np.arange(radius + 2)) / scale)
    side = below[1:-1] - below[2:]
    return np.concatenate([side[::-1], [1 - 2 * below[1]], side])


@pytest.mark.parametrize("name", PMFS)
def test_quantize_pmf_gives_counts(name: str) -> None:
    cdf = quantize_pmf(PMFS[name])
    assert cdf.dtype == np.int32
    assert cdf.shape == (len(PMFS[name]) + 1,)
    assert cdf[0] == 0
    assert cdf[-1] == TOTAL
    assert np.all(np.diff(cdf) >= 1)


@pytest.mark.parametrize("name", PMFS)
def test_quantize_pmf_is_optimal(name: str) -> None:
    """No count can move to another symbol with profit: for a convex sum that is the optimum."""
    pmf = PMFS[name] / PMFS[name].sum()
    counts = np.diff(quantize_pmf(pmf))
    gain = pmf * np.log1p(1 / counts)
    movable = counts > 1
    loss = -pmf[movable] * np.log1p(-1 / counts[movable])
    assert not np.any(movable) or gain.max() <= loss.min() * (1 + 1e-12)


def test_quantize_pmf_keeps_exact_probabilities() -> None:
    counts = np.array([1, 2, 61, 40_000, 25_472])
    assert np.array_equal(np.diff(quantize_pmf(counts / TOTAL)), counts)


@pytest.mark.parametrize(
    ("pmf", "message"),
    [
        (np.zeros(0), r"1 to 65536 entries, found shape \(0,\)"),
        (np.ones((2, 2)), r"found shape \(2, 2\)"),
        (np.ones(TOTAL + 1), r"found shape \(65537,\)"),
        (np.array([0.5, -0.1]), "finite and non-negative"),
        (np.array([0.5, np.nan]), "finite and non-negative"),
        (np.array([0.5, np.inf]), "finite and non-negative"),
        (np.array([1e308, 1e308]), "finite and non-negative"),
        (np.zeros(3), "positive sum"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_quantize_pmf_refuses(pmf: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quantize_pmf(pmf)


def test_gaussian_scales_are_log_spaced() -> None:
    scales = gaussian_scales()
    assert scales.shape == (64,)
    assert scales[0] == pytest.approx(0.11, rel=1e-12)
    assert scales[-1] == pytest.approx(256, rel=1e-12)
    assert np.allclose(scales[1:] / scales[:-1], (256 / 0.11) ** (1 / 63), rtol=1e-12)


@pytest.mark.parametrize("arguments", [(1, 0.1, 2.0), (3, 0.0, 2.0), (3, 2.0, 2.0), (3, 2.0, 1.0)])
def test_gaussian_scales_refuse(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="count >= 2 and 0 < smallest < largest"):
        gaussian_scales(*arguments)


def test_gaussian_tables_are_symmetric_around_zero() -> None:
    tables = gaussian_tables(gaussian_scales())
    for index in range(len(tables)):
        counts = np.diff(tables.cdf(index))[:-1]
        assert np.array_equal(counts, counts[::-1])
        assert tables.offsets[index] == -(len(counts) // 2)
        assert np.all(np.diff(counts[: len(counts) // 2 + 1]) >= 0)


def test_gaussian_tables_cost_hardly_more_than_the_entropy() -> None:
    scales = gaussian_scales()
    tables = gaussian_tables(scales)
    for index, scale in enumerate(scales):
        pmf = rounded_gaussian(scale)
        radius = len(pmf) // 2
        bits = [
            information(tables, np.array([symbol]), np.array([index])) if p > 1e-12 else 0.0
            for symbol, p in zip(range(-radius, radius + 1), pmf, strict=True)
        ]
        entropy = -np.sum(pmf[pmf > 0] * np.log2(pmf[pmf > 0]))
        excess = pmf @ np.array(bits) - entropy
        assert 0 <= excess < (0.0004 if scale < 45 else 0.006)


def test_gaussian_tables_leave_the_tail_to_the_escape() -> None:
    scales = np.array([2.0, 16.0, 128.0])
    tables = gaussian_tables(scales)
    for index, scale in enumerate(scales):
        radius = -tables.offsets[index]
        assert tables.sizes[index] == 2 * radius + 2
        tail = 2 * ndtr(-(radius + 0.5) / scale)
        assert tail <= GAUSSIAN_TAIL_MASS
        assert np.diff(tables.cdf(index))[-1] == pytest.approx(tail * TOTAL, abs=0.7)
        assert 2 * ndtr(-(radius - 0.5) / scale) > GAUSSIAN_TAIL_MASS


def test_gaussian_table_of_a_vanishing_scale_is_certain_of_zero() -> None:
    assert np.diff(gaussian_tables(np.array([1e-6])).cdf(0)).tolist() == [1, TOTAL - 3, 1, 1]


@pytest.mark.parametrize("scales", [[0.0], [-1.0], [np.nan], [5000.0], [[1.0]], []])
def test_gaussian_tables_refuse(scales: list) -> None:
    with pytest.raises(ValueError, match=r"scales must be a non-empty vector .* \(0, 4096\]"):
        gaussian_tables(np.array(scales))


def test_tables_from_pmfs_layout() -> None:
    tables = tables_from_pmfs([np.array([0.25, 0.5]), np.array([0.125])], [-3, 7])
    expected = [16, 0, 16384, 49152, 65536, 16, 0, 8192, 65536]
    assert tables.lookup.tolist() == expected
    assert tables.lookup.dtype == np.int32
    assert tables.offsets.tolist() == [-3, 7]
    assert tables.offsets.dtype == np.int32
    assert len(tables) == 2
    assert tables.starts.tolist() == [0, 5]
    assert tables.sizes.tolist() == [3, 2]
    assert tables.cdf(1).tolist() == [0, 8192, 65536]


def test_tables_from_pmfs_keep_an_escape_for_complete_pmfs() -> None:
    pmf = RNG.dirichlet(np.ones(50)).astype(np.float32)
    tables = tables_from_pmfs([pmf, pmf * np.float32(1.00001)], [0, 0])
    for index in range(2):
        counts = np.diff(tables.cdf(index))
        assert counts[-1] <= 2
        assert np.abs(counts[:-1] / TOTAL - pmf).max() < 1e-4


@pytest.mark.parametrize(
    ("pmfs", "offsets", "message"),
    [
        ([], [], "found 0 for 0"),
        ([[1.0]], [0, 1], "as many offsets as pmfs, found 2 for 1"),
        ([[1.0], []], [0, 0], "pmf 1 must be a non-empty vector"),
        ([[[1.0]]], [0], "pmf 0 must be a non-empty vector"),
        ([[0.5, -0.1]], [0], "pmf 0 must be .* without negatives or NaN"),
        ([[0.5, np.nan]], [0], "pmf 0 must be .* without negatives or NaN"),
        ([[0.5, 0.51]], [0], "pmf 0 must sum to at most 1, found 1.01"),
        ([[1.0]], [2**16 + 1], "offsets must lie within .*65536, found .*65537"),
    ],
)
def test_tables_from_pmfs_refuse(pmfs: list, offsets: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tables_from_pmfs(pmfs, offsets)


@pytest.mark.parametrize(
    ("lookup", "offsets", "message"),
    [
        ([], [0], "lookup must end with 65536"),
        ([16, 0, 5], [0], r"lookup must end with 65536, found \[5\]"),
        ([65536], [0], "table 0 must be 16, 0"),
        ([16, 65536], [0], "table 0 must be 16, 0"),
        ([-16, 0, 65536], [0], r"table 0 must be 16, 0, .*found \[-16, 0, 65536\]"),
        ([16, 1, 65536], [0], "table 0 must be 16, 0"),
        ([16, 0, 9, 9, 65536], [0], "table 0 must give every symbol a count"),
        ([16, 0, 9, 8, 65536], [0], "table 0 must give every symbol a count"),
        ([16, 0, 70_000, 65536], [0], "table 0 must give every symbol a count"),
        ([16, 0, 65536, 65536], [0], "table 1 must be 16, 0"),
        ([16, 0, 65536, 16, 0, -1, 65536], [0, 0], "table 1 must give every symbol a count"),
        ([16, 0, 65536], [0, 1], "lookup holds 1 tables but there are 2 offsets"),
        ([16, 0, 65536], [2**16 + 1], "offsets must lie within"),
        ([16, 0, 65536], [-(2**31)], "offsets must lie within"),
    ],
)
def test_invalid_tables_cannot_be_made(lookup: list, offsets: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CdfTables(np.array(lookup, np.int32), np.array(offsets, np.int32))


@pytest.mark.parametrize(
    ("lookup", "offsets", "message"),
    [
        (np.array([16, 0, 65536]), np.zeros(1, np.int32), "lookup must be an int32 vector"),
        ([16, 0, 65536], np.zeros(1, np.int32), "lookup must be an int32 vector, found .*list"),
        (np.array([[16, 0, 65536]], np.int32), np.zeros(1, np.int32), r"int32 \(1, 3\)"),
        (np.array([16, 0, 65536], np.int32), np.zeros(1), r"offsets must be .* float64 \(1,\)"),
    ],
)
def test_tables_of_other_types_cannot_be_made(
    lookup: np.ndarray, offsets: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        CdfTables(lookup, offsets)


@pytest.mark.parametrize(
    ("symbol", "bits"),
    [
        (-3, 2),  # probability 1/4
        (-2, 1),  # probability 1/2
        (-1, 2 + 6 + 0),  # escape of probability 1/4, 6 bits of header, excess 1
        (0, 2 + 6 + 1),  # excess 2
        (13, 2 + 6 + 3),  # excess 15
        (14, 2 + 6 + 4),  # excess 16
        (-4, 2 + 6 + 0),  # excess -1
        (-11, 2 + 6 + 3),  # excess -8
    ],
)
def test_information_of_one_symbol(symbol: int, bits: int) -> None:
    tables = tables_from_pmfs([np.array([0.25, 0.5]), np.array([0.125])], [-3, 7])
    assert information(tables, np.array([symbol]), np.array([0])) == bits


def test_information_adds_up() -> None:
    tables = tables_from_pmfs([np.array([0.25, 0.5]), np.array([0.125])], [-3, 7])
    symbols, indexes = np.array([[-3, 7, -2], [-1, 7, 8]]), np.array([[0, 1, 0], [0, 1, 1]])
    expected = (2 + 3 + 1) + (2 + 6 + 3 + np.log2(8 / 7) + 6)
    assert information(tables, symbols, indexes) == pytest.approx(expected, rel=1e-12)
    assert information(tables, np.zeros(0, np.int32), np.zeros(0, np.int32)) == 0
