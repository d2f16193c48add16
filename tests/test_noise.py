"""Noise that hangs on key and place alone."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import kstest

from diffcomp.diffusion.noise import fresh_noise, positional_noise, starting_noise

SEED = jnp.uint32(3)


def noise(row: int, column: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.asarray(
        positional_noise(jax.random.key(seed), jnp.array([row, column]), height, width)
    )


def test_a_part_is_what_the_whole_has_there() -> None:
    whole = noise(0, 0, 96, 128)
    assert (whole.shape, whole.dtype) == ((96, 128, 3), np.float32)
    for row, column, height, width in ((0, 0, 16, 16), (32, 16, 64, 48), (80, 112, 16, 16)):
        part = noise(row, column, height, width)
        np.testing.assert_array_equal(part, whole[row : row + height, column : column + width])


def test_it_is_standard_normal_and_no_two_blocks_are_alike() -> None:
    values = noise(0, 0, 128, 128)
    assert kstest(values.ravel(), "norm").pvalue > 0.01
    blocks = values.reshape(8, 16, 8, 16, 3).transpose(0, 2, 1, 3, 4).reshape(64, -1)
    correlations = np.corrcoef(blocks)[np.triu_indices(64, 1)]
    assert np.abs(correlations).max() < 6 / np.sqrt(blocks.shape[1])
    assert np.abs(np.corrcoef(values.ravel(), noise(0, 0, 128, 128, seed=1).ravel())[0, 1]) < 0.03


def test_start_and_steps_have_noise_of_their_own() -> None:
    where = jnp.array([16, 32]), 32, 16
    draws = [starting_noise(SEED, *where), *(fresh_noise(SEED, i, *where) for i in range(3))]
    draws.append(starting_noise(SEED + 1, *where))
    assert {draw.shape for draw in draws} == {(1, 32, 16, 3)}
    correlations = np.corrcoef(np.stack(draws).reshape(len(draws), -1))
    assert np.abs(correlations[np.triu_indices(len(draws), 1)]).max() < 0.15
    np.testing.assert_array_equal(fresh_noise(SEED, 1, *where), draws[2])
