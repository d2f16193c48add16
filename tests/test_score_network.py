import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_model

from diffcomp.diffusion.noise_schedule import add_noise, alpha_bar_cosine
from diffcomp.networks.score_network import ScoreNetwork
from diffcomp.networks.transforms import ContextMaps

BASE_ERROR = 0.15
CONFIG = dataclasses.replace(small_model.MODEL, base_error=BASE_ERROR)
SIDE = 32


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def inputs(batch=2, side=SIDE):
    context = ContextMaps(
        c4=normal(1, batch, side // 4, side // 4, 4),
        c8=normal(2, batch, side // 8, side // 8, 6),
        c16=normal(3, batch, side // 16, side // 16, 8),
        base=0.4 * normal(4, batch, side, side, 3),
    )
    return context, normal(5, batch, 7)


@pytest.fixture(scope="module")
def network():
    context, e = inputs()
    module = ScoreNetwork(CONFIG)
    x_t = normal(6, 2, SIDE, SIDE, 3)
    variables = jax.jit(module.init)(jax.random.key(0), x_t, jnp.full(2, 0.5), context, e)
    return variables, jax.jit(module.apply)


@pytest.fixture(scope="module")
def trained(network):
    """The network with noise on every parameter, the last layer's zeros too."""
    variables, apply = network
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(9), len(leaves))
    moved = [v + 0.1 * jax.random.normal(k, v.shape) for k, v in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(tree, moved), apply


def posterior(base, x_t, t):
    """Mean and deviation of x_0 ~ N(base, BASE_ERROR^2) given x_t = alpha x_0 + sigma eps."""
    alpha, sigma = np.cos(np.pi * t / 2), np.sin(np.pi * t / 2)
    precision = 1 / BASE_ERROR**2 + (alpha / sigma) ** 2
    mean = (base / BASE_ERROR**2 + alpha * x_t / sigma**2) / precision
    return mean, precision**-0.5


@pytest.mark.parametrize("t", [0.02, 0.2, 0.5, 0.8, 0.97])
def test_a_new_network_is_the_gaussian_posterior_mean(network, t):
    variables, apply = network
    context, e = inputs()
    x_t = normal(6, 2, SIDE, SIDE, 3)
    out = apply(variables, x_t, alpha_bar_cosine(jnp.full(2, t)), context, e)
    mean, _ = posterior(np.asarray(context.base, np.float64), np.asarray(x_t, np.float64), t)
    np.testing.assert_allclose(out, mean, atol=1e-4)


def test_its_start_beats_both_the_base_and_the_rescaled_input(network):
    """On data that fit the assumption, the mean squared error is the posterior variance."""
    variables, apply = network
    context, e = inputs()
    x = context.base + BASE_ERROR * normal(7, 2, SIDE, SIDE, 3)
    t = 0.1
    alpha_bar = alpha_bar_cosine(jnp.full(2, t))
    x_t = add_noise(x, normal(8, 2, SIDE, SIDE, 3), alpha_bar)
    error = np.mean((apply(variables, x_t, alpha_bar, context, e) - x) ** 2)
    _, deviation = posterior(0.0, 0.0, t)
    # The standard error of the mean of n squares is sqrt(2 / n) = 0.018; four of them.
    assert error == pytest.approx(deviation**2, rel=0.072)
    assert error < np.mean((context.base - x) ** 2)
    assert error < np.mean((x_t / np.cos(np.pi * t / 2) - x) ** 2)


def test_each_image_has_its_own_noise_level(network):
    variables, apply = network
    context, e = inputs()
    x_t = normal(6, 2, SIDE, SIDE, 3)
    mixed = apply(variables, x_t, jnp.array([0.9, 0.1]), context, e)
    for i, level in enumerate([0.9, 0.1]):
        alone = apply(variables, x_t, jnp.full(2, level), context, e)
        np.testing.assert_allclose(mixed[i], alone[i], atol=1e-6)


def test_without_noise_left_the_output_is_the_input_whatever_was_learned(trained):
    variables, apply = trained
    context, e = inputs()
    x_t = jnp.clip(normal(6, 2, SIDE, SIDE, 3), -1, 1)
    distances = [
        np.abs(apply(variables, x_t, alpha_bar_cosine(jnp.full(2, t)), context, e) - x_t).max()
        for t in (0.3, 0.1, 0.03, 0.0)
    ]
    assert sorted(distances, reverse=True) == distances
    assert distances[-1] < 0.02 < 0.1 < distances[0]


def test_a_new_network_at_pure_noise_gives_the_base(network):
    variables, apply = network
    context, e = inputs()
    x_t = normal(6, 2, SIDE, SIDE, 3)
    out = apply(variables, x_t, alpha_bar_cosine(jnp.ones(2)), context, e)
    np.testing.assert_allclose(out, context.base, atol=1e-3)


@pytest.mark.parametrize("t", [0.05, 0.5, 0.97])
def test_the_correction_is_in_units_of_the_posterior_deviation(network, t):
    variables, apply = network
    params = {**variables["params"]}
    params["head"] = {**params["head"], "bias": jnp.ones(48)}  # its kernel starts at zero
    context, e = inputs()
    x_t, alpha_bar = normal(6, 2, SIDE, SIDE, 3), alpha_bar_cosine(jnp.full(2, t))
    start = apply(variables, x_t, alpha_bar, context, e)
    correction = apply({"params": params}, x_t, alpha_bar, context, e) - start
    _, deviation = posterior(0.0, 0.0, t)
    np.testing.assert_allclose(correction, deviation, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("part", ["c4", "c8", "c16", "base"])
def test_a_trained_network_reads_every_context_map(trained, part):
    variables, apply = trained
    context, e = inputs()
    x_t, alpha_bar = normal(6, 2, SIDE, SIDE, 3), jnp.full(2, 0.5)
    changed = context._replace(**{part: getattr(context, part) + 0.5})
    difference = apply(variables, x_t, alpha_bar, changed, e) - apply(
        variables, x_t, alpha_bar, context, e
    )
    assert np.abs(difference).max() > 1e-3
