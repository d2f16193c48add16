import jax.numpy as jnp
import numpy as np
import pytest
from small_model import normal

from diffcomp.distances.box_error import box_error

LEVEL = 1 / 127.5  # one grey level


def test_a_flat_error_counts_by_its_square_at_both_sizes():
    x = jnp.zeros((2, 64, 96, 3))
    x_hat = x + LEVEL * jnp.array([1.0, 3.0])[:, None, None, None]
    np.testing.assert_allclose(box_error(x, x_hat, (2.0, 8.0)), [10.0, 90.0], rtol=1e-5)


def test_an_error_in_one_channel_counts_a_third():
    x = jnp.zeros((1, 32, 32, 3))
    found = box_error(x, x.at[..., 1].set(3 * LEVEL), (1.0, 0.0))
    np.testing.assert_allclose(found, [3.0], rtol=1e-5)


@pytest.mark.parametrize(("side", "expected"), [(4, [0.0, 0.0]), (8, [25.0, 0.0])])
def test_an_error_that_alternates_is_seen_by_cells_no_larger_than_it(side, expected):
    sign = (-1) ** (np.arange(64) // side)
    error = 5 * LEVEL * jnp.asarray(sign[:, None] * np.ones(64), jnp.float32)[None, ..., None]
    x = jnp.zeros((1, 64, 64, 3))
    found = [float(box_error(x, x + error, scales)[0]) for scales in ((1.0, 0.0), (0.0, 1.0))]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_is_the_mean_square_of_the_means():
    x, x_hat = normal(0, (2, 64, 32, 3)), normal(1, (2, 64, 32, 3))
    error = 127.5 * np.asarray(x_hat - x, np.float64)
    expected = np.zeros(2)
    for side, scale in ((8, 0.5), (32, 4.0)):
        for i in range(0, 64, side):
            for j in range(0, 32, side):
                mean = error[:, i : i + side, j : j + side].mean((1, 2))
                expected += scale * (mean**2).mean(-1) * side**2 / (64 * 32)
    np.testing.assert_allclose(box_error(x, x_hat, (0.5, 4.0)), expected, rtol=1e-4)
