import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffcomp.diffusion.noise_schedule import (
    MAX_SNR,
    MIN_SNR,
    add_noise,
    alpha_bar_cosine,
    cosine_grid,
    eps_from_x0,
    snr,
    x0_from_eps,
)
from diffcomp.published.config import EPSILONPARAM, XPARAM
from diffcomp.published.schedule import published_alpha_bar, published_grid

LEVELS = [MIN_SNR / (1 + MIN_SNR), 0.1, 0.5, 0.9, MAX_SNR / (1 + MAX_SNR)]


def normal(seed, shape=(2, 4, 4, 3)):
    return jax.random.normal(jax.random.key(seed), shape)


def test_the_schedule_is_the_squared_cosine_between_its_ends():
    t = np.linspace(0.01, 0.99, 99)
    expected = np.cos(np.pi * t / 2) ** 2
    np.testing.assert_allclose(alpha_bar_cosine(jnp.asarray(t)), expected, rtol=1e-3, atol=1e-6)
    assert float(alpha_bar_cosine(jnp.float32(0.5))) == pytest.approx(0.5, abs=1e-6)


def test_the_signal_falls_with_t_strictly_so_away_from_the_ends():
    alpha_bar = np.asarray(alpha_bar_cosine(jnp.linspace(0.0, 1.0, 1001)))
    assert (np.diff(alpha_bar) <= 0).all()
    assert (np.diff(alpha_bar[10:-10]) < 0).all()


def test_snr_stays_within_its_bounds_and_reaches_both():
    ratio = np.asarray(snr(alpha_bar_cosine(jnp.linspace(0.0, 1.0, 1001))), np.float64)
    # 1 - alpha_bar is all that float32 leaves of 1e-5: its spacing there is 0.6% of it.
    assert ratio.max() == ratio[0] == pytest.approx(MAX_SNR, rel=0.01)
    assert ratio.min() == ratio[-1] == pytest.approx(MIN_SNR, rel=1e-4)


@pytest.mark.parametrize("level", LEVELS)
def test_noising_preserves_variance(level):
    shape = (1, 256, 256, 3)
    x_t = add_noise(normal(0, shape), normal(1, shape), jnp.full(1, level))
    # The standard error of the variance of n values is sqrt(2 / n) = 0.0032; five of them.
    assert float(jnp.var(x_t)) == pytest.approx(1, abs=0.016)


def test_each_image_of_a_batch_gets_its_own_level():
    x, eps = normal(0), normal(1)
    x_t = add_noise(x, eps, jnp.array([0.36, 0.64]))
    np.testing.assert_allclose(x_t[0], 0.6 * x[0] + 0.8 * eps[0], atol=1e-6)
    np.testing.assert_allclose(x_t[1], 0.8 * x[1] + 0.6 * eps[1], atol=1e-6)


@pytest.mark.parametrize("level", LEVELS)
def test_the_conversions_invert_the_noising(level):
    x, eps = normal(0), normal(1)
    x_t = add_noise(x, eps, jnp.full(2, level))
    # The smaller of two terms is recovered with an error that grows as it shrinks.
    error = 2e-6 / min(level, 1 - level) ** 0.5
    np.testing.assert_allclose(eps_from_x0(x_t, x, jnp.float32(level)), eps, atol=error)
    np.testing.assert_allclose(x0_from_eps(x_t, eps, jnp.float32(level)), x, atol=error)


@pytest.mark.parametrize("level", LEVELS)
def test_the_conversions_invert_each_other(level):
    x_t, x0, alpha_bar = normal(0), normal(1), jnp.float32(level)
    again = x0_from_eps(x_t, eps_from_x0(x_t, x0, alpha_bar), alpha_bar)
    np.testing.assert_allclose(again, x0, atol=4e-6 / level**0.5)


def test_a_grid_runs_evenly_from_one_to_one_step_above_zero():
    grid = cosine_grid(4)
    np.testing.assert_array_equal(grid.t, np.float32([1, 0.75, 0.5, 0.25]))
    expected = np.cos(np.pi / 2 * np.array([1, 0.75, 0.5, 0.25])) ** 2
    np.testing.assert_allclose(grid.alpha_bar, np.maximum(expected, 1e-5), rtol=1e-4)


def test_one_step_starts_from_noise():
    grid = cosine_grid(1)
    assert grid.t.tolist() == [1.0]
    assert float(grid.alpha_bar[0]) == pytest.approx(MIN_SNR, rel=1e-4)


@pytest.mark.parametrize("steps", [0, -3])
def test_a_grid_without_steps_is_refused(steps):
    with pytest.raises(ValueError, match=f"steps is {steps}; a decode takes at least 1 step"):
        cosine_grid(steps)


@pytest.mark.parametrize(
    ("config", "ends"), [(XPARAM, (5e-6, 4e-11)), (EPSILONPARAM, (5e-6, 5e-5))]
)
def test_the_published_signal_falls_strictly_from_clean_to_noise(config, ends):
    alpha_bar = published_alpha_bar(config)
    assert alpha_bar.shape == (config.training_steps,)
    assert alpha_bar.dtype == np.float64
    assert (np.diff(alpha_bar) < 0).all()
    # The linear schedule's first beta is 1e-4 for 1000 steps, less in proportion for more.
    assert 1 - alpha_bar[0] == pytest.approx(ends[0], rel=0.06)
    assert 0 < alpha_bar[-1] < ends[1]


def test_the_published_cosine_is_that_of_the_paper_but_for_the_last_beta():
    """Products of 1 - beta telescope to the cosine itself, as long as no beta is cut off."""
    t = np.arange(8193) + 1
    expected = np.cos((t / 8193 + 0.008) / 1.008 * np.pi / 2) ** 2
    expected = expected / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    alpha_bar = published_alpha_bar(XPARAM)
    np.testing.assert_allclose(alpha_bar[:-1], expected[:-1], rtol=1e-9)
    assert alpha_bar[-1] == pytest.approx(alpha_bar[-2] * 1e-3)


def test_the_published_linear_schedule_is_near_its_continuous_limit():
    """Betas from 1e-4 to 0.02 per 1/1000 of the time: ln alpha_bar = -(0.1 t + 19.9 t^2 / 2)."""
    t = (np.arange(20000) + 1) / 20000
    limit = np.exp(-(0.1 * t + 9.95 * t**2))
    np.testing.assert_allclose(published_alpha_bar(EPSILONPARAM), limit, rtol=0.01)


def test_a_published_grid_names_its_levels_by_index_or_by_step():
    by_index, by_step = published_grid(XPARAM, 5), published_grid(EPSILONPARAM, 5)
    index = np.array([8192, 6144, 4096, 2048, 0])
    np.testing.assert_array_equal(by_index.t, np.float32(index / 8193))
    np.testing.assert_array_equal(
        by_index.alpha_bar, np.float32(published_alpha_bar(XPARAM)[index])
    )
    np.testing.assert_array_equal(by_step.t, np.float32([0.8, 0.6, 0.4, 0.2, 0]))
    index = np.array([19999, 14999, 9999, 4999, 0])
    expected = np.float32(published_alpha_bar(EPSILONPARAM)[index])
    np.testing.assert_array_equal(by_step.alpha_bar, expected)


def test_a_published_grid_may_have_one_level_or_all():
    last = np.float32(published_alpha_bar(XPARAM)[-1])
    np.testing.assert_array_equal(published_grid(XPARAM, 1).alpha_bar, [last])
    np.testing.assert_array_equal(published_grid(XPARAM, 1).t, np.float32([8192 / 8193]))
    everything = published_grid(XPARAM, 8193).alpha_bar
    np.testing.assert_array_equal(everything, np.float32(published_alpha_bar(XPARAM)[::-1]))


@pytest.mark.parametrize("steps", [0, 8194])
def test_a_published_grid_of_other_lengths_is_refused(steps):
    with pytest.raises(ValueError, match=f"steps is {steps}; the published model takes 1 to 8193"):
        published_grid(XPARAM, steps)
