import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffcomp.networks.quantization import add_uniform_noise, lower_bound, ste_round


def test_rounding_gives_the_nearest_integers():
    x = jnp.array([-2.6, -0.4, 0.0, 0.4, 0.6, 7.0])
    np.testing.assert_array_equal(ste_round(x), [-3, 0, 0, 0, 1, 7])


def test_rounding_passes_the_gradient_on_unchanged():
    x = jnp.linspace(-3, 3, 25)
    gradient = jax.grad(lambda x: jnp.sum(3 * ste_round(x)))(x)
    np.testing.assert_array_equal(gradient, np.full(25, 3.0))


def test_noise_is_uniform_between_plus_and_minus_one_half():
    x = jnp.linspace(-5, 5, 100_000)
    noise = np.asarray(add_uniform_noise(x, jax.random.key(0)) - x)
    assert noise.min() >= -0.5 - 1e-6
    assert noise.max() <= 0.5 + 1e-6
    assert noise.min() < -0.499
    assert noise.max() > 0.499
    assert noise.mean() == pytest.approx(0, abs=0.005)
    assert noise.var() == pytest.approx(1 / 12, rel=0.02)


def test_noise_is_a_function_of_the_key():
    x = jnp.zeros(64)
    once = add_uniform_noise(x, jax.random.key(0))
    np.testing.assert_array_equal(once, add_uniform_noise(x, jax.random.key(0)))
    assert (once != add_uniform_noise(x, jax.random.key(1))).all()


def test_noise_passes_the_gradient_on_unchanged():
    gradient = jax.grad(lambda x: add_uniform_noise(x, jax.random.key(0)).sum())(jnp.ones(4))
    np.testing.assert_array_equal(gradient, np.ones(4))


def test_values_below_the_bound_are_raised_to_it():
    np.testing.assert_array_equal(lower_bound(jnp.array([-1.0, 0.5, 2.0]), 0.5), [0.5, 0.5, 2.0])


@pytest.mark.parametrize(
    ("x", "upstream", "expected"),
    [
        (2.0, 1.5, 1.5),  # above the bound: as the identity
        (2.0, -1.5, -1.5),
        (0.5, 1.5, 1.5),  # on the bound
        (0.1, -1.5, -1.5),  # below, and descent raises x: it may come back
        (0.1, 1.5, 0.0),  # below, and descent would lower x further
    ],
)
def test_gradient_of_the_bound(x, upstream, expected):
    gradient = jax.grad(lambda x: upstream * lower_bound(x, 0.5))(jnp.float32(x))
    assert float(gradient) == expected
