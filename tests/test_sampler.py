"""The sampler on x_0 ~ N(m, s^2 I), where the best denoiser is known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffcomp.diffusion.noise_schedule import cosine_grid
from diffcomp.diffusion.sampler import ddim

MEAN, DEVIATION = 0.3, 0.25
SHAPE = (2, 4, 4, 3)


def posterior_mean(x_t, t, alpha_bar):
    """E[x_0 | x_t] for x_0 ~ N(MEAN, DEVIATION^2)."""
    variance = alpha_bar * DEVIATION**2 + 1 - alpha_bar  # of x_t
    gain = jnp.sqrt(alpha_bar) * DEVIATION**2 / variance
    return MEAN + gain * (x_t - jnp.sqrt(alpha_bar) * MEAN)


def noise(seed, shape=SHAPE):
    return jax.random.normal(jax.random.key(seed), shape)


def sample(x_T, steps, *, eta=0.0, seed=7, denoise_fn=posterior_mean):
    return ddim(denoise_fn, x_T, cosine_grid(steps), eta=eta, noise_fn=fresh_noise(seed, x_T.shape))


def fresh_noise(seed, shape=SHAPE):
    key = jax.random.key(seed)
    return lambda i: jax.random.normal(jax.random.fold_in(key, i), shape)


def levels(steps):
    """t and alpha_bar of the grid in float64, and alpha_bar of the level that follows each."""
    t = 1 - np.arange(steps) / steps
    alpha_bar = np.clip(np.cos(np.pi * t / 2) ** 2, 1e-5 / (1 + 1e-5), 1e5 / (1 + 1e5))
    return t, alpha_bar, np.append(alpha_bar[1:], 1.0)


def python_loop(x_T, steps, eta=0.0, seed=7):
    """Song et al. 2021, eq. 12, for the closed-form denoiser, in float64."""
    x = np.asarray(x_T, np.float64)
    for i, (_, a, a_next) in enumerate(zip(*levels(steps), strict=True)):
        gain = np.sqrt(a) * DEVIATION**2 / (a * DEVIATION**2 + 1 - a)
        x0 = MEAN + gain * (x - np.sqrt(a) * MEAN)
        eps = (x - np.sqrt(a) * x0) / np.sqrt(1 - a)
        sigma = eta * np.sqrt((1 - a_next) / (1 - a) * (1 - a / a_next))
        fresh = fresh_noise(seed, x.shape)(i)
        x = np.sqrt(a_next) * x0 + np.sqrt(1 - a_next - sigma**2) * eps
        x = x + sigma * np.asarray(fresh, np.float64)
    return x


@pytest.mark.parametrize("steps", [1, 2, 8, 50])
def test_deterministic_sampling_follows_the_formula_step_by_step(steps):
    x_T = noise(0)
    np.testing.assert_allclose(sample(x_T, steps), python_loop(x_T, steps), atol=5e-6)


@pytest.mark.parametrize("eta", [0.4, 1.0])
def test_scan_equals_a_python_loop_with_the_same_fresh_noise(eta):
    x_T = noise(0)
    np.testing.assert_allclose(sample(x_T, 8, eta=eta), python_loop(x_T, 8, eta), atol=5e-6)


def test_many_steps_map_noise_to_the_same_quantile_of_the_data():
    x_T = noise(0)
    error = [np.abs(sample(x_T, n) - (MEAN + DEVIATION * x_T)).max() for n in (10, 100, 1000)]
    assert error[2] < 0.002 < error[0]
    assert error[0] > 5 * error[1] > 25 * error[2]  # the method is of first order


def test_ancestral_sampling_tends_to_the_deviation_of_the_data():
    x_T = noise(0, (4, 64, 64, 3))
    samples = np.asarray(sample(x_T, 1000, eta=1.0), np.float64)
    assert samples.mean() == pytest.approx(MEAN, abs=0.01)
    assert samples.std() == pytest.approx(DEVIATION, rel=0.015)


def test_at_eta_one_a_step_draws_from_the_posterior_of_the_forward_process():
    """q(x_t' | x_t, x_0) of Ho et al. 2020, eq. 7, whose x_0 is here what the denoiser says."""
    x_T, x0 = noise(0), noise(1)
    first, second = cosine_grid(2).t

    def denoise_fn(x_t, t, alpha_bar):
        return jnp.where(t == first, x0, x_t)  # the last level returns x_t' itself

    x = sample(x_T, 2, eta=1.0, denoise_fn=denoise_fn)
    assert float(second) == 0.5
    _, (a, b), _ = levels(2)
    alpha = a / b  # of the one step
    mean = np.sqrt(b) * (1 - alpha) / (1 - a) * x0 + np.sqrt(alpha) * (1 - b) / (1 - a) * x_T
    variance = (1 - b) / (1 - a) * (1 - alpha)
    fresh = fresh_noise(7)(0)
    np.testing.assert_allclose(x, mean + np.sqrt(variance) * fresh, atol=1e-5)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_one_step_returns_the_estimate_at_t_one(eta):
    """After the last level alpha_bar is 1: neither eps nor fresh noise is left."""
    seen = []

    def denoise_fn(x_t, t, alpha_bar):
        jax.debug.callback(lambda t: seen.append(float(t)), t)
        return 0.5 * x_t + 0.1

    x_T = noise(0)
    x = jax.block_until_ready(sample(x_T, 1, eta=eta, denoise_fn=denoise_fn))
    jax.effects_barrier()
    np.testing.assert_array_equal(x, denoise_fn(x_T, jnp.float32(1), jnp.float32(0)))
    assert seen[0] == 1.0


def test_the_network_is_asked_at_every_level_of_the_grid_in_order():
    seen = []

    def denoise_fn(x_t, t, alpha_bar):
        tell = lambda *values: seen.append(tuple(float(value) for value in values))  # noqa: E731
        jax.debug.callback(tell, t, alpha_bar, ordered=True)
        return x_t

    jax.block_until_ready(sample(noise(0), 4, denoise_fn=denoise_fn))
    jax.effects_barrier()
    grid = cosine_grid(4)
    assert [t for t, _ in seen] == [1.0, 0.75, 0.5, 0.25]
    assert [a for _, a in seen] == grid.alpha_bar.tolist()


def test_a_sample_is_a_function_of_start_and_noise():
    x_T = noise(0)
    once = sample(x_T, 4, eta=1.0, seed=3)
    np.testing.assert_array_equal(once, sample(x_T, 4, eta=1.0, seed=3))
    assert np.abs(once - sample(x_T, 4, eta=1.0, seed=4)).max() > 0.1
    assert np.abs(sample(x_T, 4) - sample(noise(1), 4)).max() > 0.1


def test_without_eta_the_noise_has_no_effect():
    x_T = noise(0)
    np.testing.assert_array_equal(sample(x_T, 4, seed=3), sample(x_T, 4, seed=4))
