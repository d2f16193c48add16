import numpy as np
import pytest
import scipy.stats

from diffcomp.evaluation.metrics.block_statistics import (
    block_deviation,
    block_mean,
    block_statistics,
    quarter_deviation,
    spread_blocks,
)


def plane(height: int, width: int) -> np.ndarray:
    """Skewed noise, with a nearly flat area of large values."""
    values = np.random.default_rng(0).gamma(2.0, 3.0, (height, width))
    values[:20, :24] = 1e6 + 1e-3 * values[:20, :24]
    return values


def blocks(values: np.ndarray, size: int = 16, shift: tuple[int, int] = (0, 0)):
    rows, columns = ((n - 16) // 4 + 1 for n in values.shape)
    return [
        [
            values[i + shift[0] :, j + shift[1] :][:size, :size].ravel()
            for j in range(0, 4 * columns, 4)
        ]
        for i in range(0, 4 * rows, 4)
    ]


@pytest.mark.parametrize("height, width", [(40, 48), (43, 37), (16, 17)])
def test_moments_are_those_of_each_block_alone(height, width):
    values = plane(height, width)
    deviation, skewness, kurtosis = block_statistics(values)
    np.testing.assert_allclose(block_mean(values), np.mean(blocks(values), axis=2), rtol=1e-12)
    np.testing.assert_allclose(deviation, np.std(blocks(values), axis=2, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(deviation, block_deviation(values), rtol=1e-12)
    np.testing.assert_allclose(skewness, scipy.stats.skew(blocks(values), axis=2), atol=1e-5)
    expected = scipy.stats.kurtosis(blocks(values), axis=2, fisher=False)
    np.testing.assert_allclose(kurtosis, expected, rtol=1e-5)


def test_a_flat_block_has_no_skewness_and_no_kurtosis():
    statistics = block_statistics(np.full((16, 20), 3.7))
    np.testing.assert_allclose(statistics, np.zeros((3, 1, 2)), atol=1e-14)


def test_the_quarters_overlap():
    values = plane(40, 48)
    shifts = [(i, j) for i in (0, 4) for j in (0, 4)]
    parts = [np.std(blocks(values, 8, shift), axis=2, ddof=1) for shift in shifts]
    np.testing.assert_allclose(quarter_deviation(values), np.min(parts, axis=0), rtol=1e-6)


def test_blocks_are_spread_over_the_pixels_where_they_begin():
    spread = spread_blocks(np.array([[1.0, 2.0], [3.0, 4.0]]), (21, 22))
    assert spread.shape == (21, 22)
    assert (spread[3, 3], spread[3, 4], spread[4, 3], spread[7, 7]) == (1, 2, 3, 4)
    assert not spread[8:].any() and not spread[:, 8:].any()
