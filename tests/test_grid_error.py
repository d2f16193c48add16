import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffcomp.distances import grid_error as module
from diffcomp.distances.grid_error import FLAT_VARIANCE

LEVEL = 1 / 127.5  # one grey level
grid_error = jax.jit(module.grid_error)  # one program instead of one for each operation
PAIRS = 4 * 5 + 3 * 6  # of neighbours among 4 x 6 cells


def flat_image(images=2):
    return np.full((images, 64, 96, 3), 0.2, np.float32)


def tiles(images=2, seed=0):
    """The same random cell of 16x16 pixels everywhere, of mean zero and deviation one."""
    cell = np.random.default_rng(seed).normal(size=(16, 16, 3))
    cell -= cell.mean((0, 1))
    cell /= np.sqrt(np.mean(cell**2))
    return np.tile(cell, (images, 4, 6, 1)).astype(np.float32)


def of_cells(values):
    """Each of [B, 4, 6, C] on a cell of its own: [B, 64, 96, C]."""
    return np.repeat(np.repeat(values, 16, axis=1), 16, axis=2)


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_tiles_on_flat_areas_count_by_their_square():
    x = flat_image()
    per_image = LEVEL * tiles() * np.float32([1.0, 3.0])[:, None, None, None]
    found = grid_error(x, x + per_image)
    np.testing.assert_allclose(found, PAIRS / (PAIRS + 1) * np.array([1.0, 9.0]), rtol=1e-3)


def test_tiles_in_a_part_of_an_image_count_by_its_share():
    x = flat_image(1)
    left = (np.arange(96) < 48)[None, None, :, None]
    pairs = 4 * 2 + 3 * 3
    found = grid_error(x, x + LEVEL * tiles(1) * left)
    np.testing.assert_allclose(found, [pairs / (PAIRS + 1)], rtol=1e-3)


def test_no_error_and_an_error_of_whole_cells_count_nothing():
    x = flat_image()
    np.testing.assert_array_equal(grid_error(x, x), 0)
    cells = of_cells(normal(2, 4, 6, 3))
    np.testing.assert_allclose(grid_error(x, x + 5 * LEVEL * cells), 0, atol=1e-6)


def test_grain_counts_next_to_nothing():
    x = flat_image(16)
    grain = 3 * LEVEL * normal(*x.shape)  # of variance 9
    assert np.mean(grid_error(x, x + grain)) < 0.05


def test_opposite_neighbours_count_nothing():
    x = flat_image()
    row, column = np.arange(4)[:, None], np.arange(6)[None]
    sign = np.float32(-1) ** ((row + column) % 2)[None, :, :, None]
    np.testing.assert_array_equal(grid_error(x, x + LEVEL * tiles() * of_cells(sign)), 0)


def test_cells_that_vary_count_little():
    x, error = flat_image(), LEVEL * tiles()
    half = x + FLAT_VARIANCE**0.5 * LEVEL * normal(*x.shape)
    np.testing.assert_allclose(
        grid_error(half, half + error), PAIRS / (PAIRS + 4) * np.ones(2), rtol=0.02
    )
    busy = x + 40 * LEVEL * normal(*x.shape)
    assert np.all(grid_error(busy, busy + error) < 0.01)


def test_its_gradient_moves_towards_the_image_without_tiles():
    x = flat_image(1)
    x_hat = x + LEVEL * tiles(1)
    value_and_gradient = jax.jit(jax.value_and_grad(lambda v: module.grid_error(x, v)[0]))
    value, gradient = jax.device_get(value_and_gradient(x_hat))
    np.testing.assert_allclose(np.vdot(gradient, x_hat - x), 2 * value, rtol=1e-3)  # a square
    assert grid_error(x, x_hat - 1e-3 * gradient)[0] < value


def test_sides_must_be_whole_cells():
    x = jnp.zeros((1, 24, 32, 3))
    with pytest.raises(TypeError):
        grid_error(x, x)
