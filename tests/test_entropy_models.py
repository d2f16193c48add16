import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_ndtr

from diffcomp.coding.cdf_tables import SMALLEST_SCALE
from diffcomp.networks.entropy_models import FactorizedPrior, gaussian_bits

CHANNELS = 5


def oracle_bits(v, scale):
    """-log2(Phi((v + 1/2) / scale) - Phi((v - 1/2) / scale)) in float64."""
    v = np.abs(np.asarray(v, np.float64))
    upper, lower = log_ndtr((0.5 - v) / scale), log_ndtr((-0.5 - v) / scale)
    return -(upper + np.log1p(-np.exp(lower - upper))) / np.log(2)


@pytest.mark.parametrize("scale", [SMALLEST_SCALE, 0.3, 1.0, 7.0, 256.0])
def test_gaussian_bits_equal_scipy_in_the_middle_and_in_the_tails(scale):
    v = np.array([0.0, 0.25, 0.5, 1.0, 3.0, 10.0, 100.0, 1000.0])
    v = np.concatenate([v, -v]).astype(np.float32)
    bits = gaussian_bits(jnp.asarray(v), jnp.full(v.shape, scale))
    np.testing.assert_allclose(bits, oracle_bits(v, np.float32(scale)), rtol=2e-5, atol=1e-6)


def test_a_wide_gaussian_costs_its_differential_entropy():
    """Then -log2 of the probability of a unit interval is -log2 of the density: ln s sqrt(2 pi)."""
    scale, v = 200.0, jnp.array([0.0, 50.0, 300.0])
    expected = math.log2(scale * math.sqrt(2 * math.pi)) + (v / scale) ** 2 / 2 / math.log(2)
    np.testing.assert_allclose(gaussian_bits(v, jnp.full(3, scale)), expected, atol=1e-4)
    # The mean over integers drawn from it is 1/2 log2(2 pi e s^2).
    grid = jnp.arange(-2000.0, 2001.0)
    bits = np.asarray(gaussian_bits(grid, jnp.full(grid.shape, scale)), np.float64)
    entropy = (2**-bits * bits).sum()
    assert entropy == pytest.approx(0.5 * math.log2(2 * math.pi * math.e * scale**2), abs=1e-3)


def test_a_narrow_gaussian_costs_nothing_at_zero():
    assert float(gaussian_bits(jnp.float32(0), jnp.float32(SMALLEST_SCALE))) < 1e-5


def test_scales_below_the_smallest_are_raised_to_it():
    v = jnp.array([0.0, 1.0, 5.0])
    at_bound = gaussian_bits(v, jnp.full(3, SMALLEST_SCALE))
    for scale in (1e-6, 0.0, -1.0):
        np.testing.assert_array_equal(gaussian_bits(v, jnp.full(3, scale)), at_bound)


def test_the_smallest_scale_may_be_another():
    v = jnp.array([0.0, 0.5, 1.0])
    bits = gaussian_bits(v, jnp.full(3, 0.01), 0.05)
    np.testing.assert_array_equal(bits, gaussian_bits(v, jnp.full(3, 0.05), 0.05))
    np.testing.assert_allclose(bits, oracle_bits(v, np.float32(0.05)), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("mean", [0.0, 0.3, -0.5])
@pytest.mark.parametrize("scale", [SMALLEST_SCALE, 0.5, 4.0, 30.0])
def test_gaussian_probabilities_of_the_integers_sum_to_one(mean, scale):
    v = jnp.arange(-400.0, 401.0) - mean
    bits = np.asarray(gaussian_bits(v, jnp.full(v.shape, scale)), np.float64)
    assert (2.0**-bits).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("scale", [SMALLEST_SCALE, 1.0, 30.0])
@pytest.mark.parametrize("v", [5.0, -40.0, 200.0])
def test_the_gradient_is_alive_in_the_far_tails(v, scale):
    value, scale = jnp.float32(v), jnp.float32(scale)
    bits, (by_v, by_scale) = jax.value_and_grad(gaussian_bits, argnums=(0, 1))(value, scale)
    assert math.isfinite(bits)
    h = 1e-3 * abs(v)
    slope = (oracle_bits(v + h, scale) - oracle_bits(v - h, scale)) / (2 * h)
    assert float(by_v) == pytest.approx(slope, rel=0.02)
    # Far out, bits are v^2 / (2 s^2 ln 2): descent widens the scale until that is |v|.
    assert math.isfinite(by_scale)
    if abs(v) > 3 * scale:
        assert by_scale < 0


def test_bits_do_not_depend_on_the_sign():
    v = jnp.linspace(0, 20, 41)
    scale = jnp.full(41, 2.0)
    np.testing.assert_array_equal(gaussian_bits(v, scale), gaussian_bits(-v, scale))


@pytest.fixture(scope="module")
def prior():
    model = FactorizedPrior(CHANNELS)
    variables = model.init(jax.random.key(0), jnp.zeros((1, CHANNELS)))
    # Away from the start: factors that are zero would leave half of the network untested.
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    moved = [v + 0.3 * jax.random.normal(k, v.shape) for k, v in zip(keys, leaves, strict=True)]
    return model, jax.tree.unflatten(tree, moved)


def integers(reach):
    z = jnp.arange(-reach, reach + 1.0)
    return jnp.broadcast_to(z[:, None], (z.size, CHANNELS))


def test_prior_bits_are_those_of_its_cumulative_distribution(prior):
    model, variables = prior
    z = integers(30)
    below = np.asarray(model.apply(variables, z - 0.5, method="logits"), np.float64)
    above = np.asarray(model.apply(variables, z + 0.5, method="logits"), np.float64)
    p = 1 / (1 + np.exp(-above)) - 1 / (1 + np.exp(-below))
    np.testing.assert_allclose(model.apply(variables, z), -np.log2(p), rtol=2e-3)


def test_prior_bits_are_positive_and_finite_everywhere(prior):
    model, variables = prior
    bits = model.apply(variables, jnp.linspace(-500, 500, 4001)[:, None] * jnp.ones((1, CHANNELS)))
    assert bits.shape == (4001, CHANNELS)
    assert (np.asarray(bits) > 0).all()
    assert np.isfinite(bits).all()


def test_prior_probabilities_of_the_integers_sum_to_one(prior):
    model, variables = prior
    bits = np.asarray(model.apply(variables, integers(1000)), np.float64)
    np.testing.assert_allclose((2.0**-bits).sum(axis=0), 1, atol=1e-4)


def test_the_tails_of_the_prior_lose_no_digits_on_either_side():
    """Mirrored parameters mirror the density: F'(z) = 1 - F(-z) where every bias changes sign."""
    model = FactorizedPrior(CHANNELS)
    params = model.init(jax.random.key(0), jnp.zeros((1, CHANNELS)))["params"]
    mirrored = {name: -v if name.startswith("bias") else v for name, v in params.items()}
    z = integers(60)
    bits = model.apply({"params": params}, z)
    np.testing.assert_array_equal(bits, model.apply({"params": mirrored}, -z))
    assert (np.asarray(bits[0]) > 8).all()


def test_a_symmetric_prior_gives_its_centre_the_most():
    model = FactorizedPrior(CHANNELS)
    params = model.init(jax.random.key(0), jnp.zeros((1, CHANNELS)))["params"]
    symmetric = {n: jnp.zeros_like(v) if n.startswith("bias") else v for n, v in params.items()}
    bits = np.asarray(model.apply({"params": symmetric}, integers(3)))
    assert (np.argmin(bits, axis=0) == 3).all()
    # F(z) = sigmoid(z / 10): p(0) = tanh(0.025).
    np.testing.assert_allclose(bits[3], -np.log2(np.tanh(0.025)), rtol=1e-4)


def test_prior_logits_increase_strictly(prior):
    model, variables = prior
    z = jnp.linspace(-100, 100, 2001)[:, None] * jnp.ones((1, CHANNELS))
    logits = np.asarray(model.apply(variables, z, method="logits"))
    assert (np.diff(logits, axis=0) > 0).all()


def test_prior_gradients_are_finite_at_all_distances(prior):
    model, variables = prior
    z = jnp.array([-1e4, -50.0, -0.5, 0.0, 3.0, 1e4])[:, None] * jnp.ones((1, CHANNELS))

    def total(variables, z):
        return model.apply(variables, z).sum()

    by_params, by_z = jax.grad(total, argnums=(0, 1))(variables, z)
    for gradient in (*jax.tree.leaves(by_params), by_z):
        assert np.isfinite(gradient).all()
    assert (np.asarray(by_z[1]) < 0).all()  # bits fall towards the centre
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(by_params))
