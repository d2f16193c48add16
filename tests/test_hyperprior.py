"""Tests of the float side of the coder: its rates are those of real files, its gradients pass."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model

from diffcomp.coding.grouped_coder import GroupedCoder
from diffcomp.coding.quality import normalized_quality, quality_to_code
from diffcomp.networks.latents import Latents, Rate
from diffcomp.networks.model import CompressionModel
from diffcomp.networks.quality_knots import interpolate_knots
from diffcomp.params import Params, variables_of
from diffcomp.pixels import to_float

QUALITIES = [1.0, 4.0, 8.0]


@functools.partial(jax.jit, static_argnames="method")
def run(params: Params, *args: jax.Array, method: str) -> Latents | Rate:
    model = CompressionModel(tiny_model.codec().model.config)
    return model.apply(variables_of(params), *args, method=method)


@pytest.fixture(scope="module")
def params() -> Params:
    return tiny_model.codec().model.params


@pytest.fixture(scope="module")
def x(photo) -> jax.Array:
    return to_float(photo[None, :64])


@pytest.fixture(scope="module", params=QUALITIES)
def coded(request, params, x) -> tuple[float, Latents, Rate]:
    """Quality, latents and their rate, of one photograph."""
    quality = jnp.array([request.param])
    latents = run(params, x, quality, method="encode")
    return request.param, latents, run(params, latents, quality, method="rate")


def coders_steps(
    coder: GroupedCoder, y: np.ndarray, z: np.ndarray, code: int
) -> tuple[np.ndarray, np.ndarray]:
    """y_hat of a file, and the step of each of its elements."""
    spy, runs = tiny_model.spied(coder)
    spy.encode(y, z, code)
    return runs[0].y_hat, tiny_model.steps_of_each(coder, runs[0].passes, y.shape)


def float_steps(model: CompressionModel, latents: Latents, quality: jax.Array) -> jax.Array:
    """Those that the networks use in training, [1, h, w, C]."""
    hyperprior = model.hyperprior
    around = hyperprior.step(quality)[:, None, None]
    return hyperprior.parameters(jnp.round(latents.z), latents.y, around, quality)[1]


def test_steps_are_the_coders_but_for_near_ties(coded, params) -> None:
    """Where rounding to a sixteenth of an octave falls the other way."""
    quality, latents, _ = coded
    y, z = (np.asarray(latent[0]) for latent in latents)
    coder = tiny_model.codec().model.coder
    _, steps = coders_steps(coder, y, z, quality_to_code(quality))
    found = run(params, latents, jnp.array([quality]), method=float_steps)[0]
    octaves = np.abs(np.log2(found / steps))
    assert np.mean(octaves < 1e-3) > 0.95
    assert octaves.max() < 1.01 / 16
    assert np.std(np.log2(steps)[..., 0]) > 0.01


def test_steps_come_back_from_beyond_their_bounds(coded, params) -> None:
    """There the gradient is that of within if descent leads back, and else nothing."""
    quality, latents, _ = coded
    path = "hyperprior/parameters/convs_step_1/bias"

    def steps(bias: jax.Array) -> jax.Array:
        changed = dict(params) | {path: bias}
        found = run(changed, latents, jnp.array([quality]), method=float_steps)
        return jnp.sum(jnp.log2(found))

    far = jnp.full(1, 30.0)
    assert steps(far) == pytest.approx(float(steps(far + 1)), rel=1e-6)
    down, up = jax.grad(steps), jax.grad(lambda bias: -steps(bias))
    assert down(far)[0] > 0 and up(far)[0] == 0
    assert down(-far)[0] == 0 and up(-far)[0] < 0


def test_shapes(coded) -> None:
    _, latents, rate = coded
    assert latents.y.shape == rate.y_hat.shape == (1, 4, 8, 16)
    assert latents.z.shape == (1, 1, 2, 8)
    assert rate.bits_y.shape == rate.bits_z.shape == (1,)


def test_estimated_bits_are_those_of_a_file(coded) -> None:
    """Within 1 % and 32 bytes: finite tables, escapes, and whole bytes."""
    quality, latents, rate = coded
    coder = tiny_model.codec().model.coder
    y, z = (np.asarray(latent[0]) for latent in latents)
    streams = coder.encode(y, z, quality_to_code(quality))
    estimate = float(rate.bits_y[0] + rate.bits_z[0])
    bits = 8 * (len(streams.y_stream) + len(streams.z_stream))
    assert abs(bits - estimate) <= 0.01 * estimate + 8 * 32
    assert estimate > 8 * 64  # else the tolerance would be all


def test_y_hat_is_the_coders_except_at_near_ties(coded) -> None:
    """Floats and integers differ in the last digits, so a value on an edge may fall either way.

    And with it a little of what later passes make of it.
    """
    quality, latents, rate = coded
    coder, code = tiny_model.codec().model.coder, quality_to_code(quality)
    y, z = (np.asarray(latent[0]) for latent in latents)
    exact, step = coders_steps(coder, y, z, code)
    difference = np.abs(exact - rate.y_hat[0])
    same = difference < 0.02 * step + 0.01
    assert np.mean(same) > 0.9
    assert np.all(difference < 1.02 * step + 0.3)  # more than a step where one before differs


def test_gradient_of_y_hat_is_the_identity(coded, params) -> None:
    """Although means and anchors depend on y: y_hat = mean + step * ((y - mean) / step + const)."""
    quality, latents, _ = coded
    weights = jnp.asarray(np.random.default_rng(0).normal(size=latents.y.shape), jnp.float32)

    def weighted(y: jax.Array) -> jax.Array:
        rate = run(params, Latents(y, latents.z), jnp.array([quality]), method="rate")
        return jnp.sum(weights * rate.y_hat)

    np.testing.assert_allclose(jax.grad(weighted)(latents.y), weights, atol=1e-4)


def test_more_gain_costs_more_bits(coded, params) -> None:
    """By the gradient and in fact: about one bit per octave and element that is not all but 0."""
    quality, latents, rate = coded

    def bits(log2_gain: jax.Array) -> jax.Array:
        changed = dict(params) | {"hyperprior/log2_gain": log2_gain}
        return run(changed, latents, jnp.array([quality]), method="rate").bits_y[0]

    gain = jnp.asarray(params["hyperprior/log2_gain"])
    gradient = jax.grad(bits)(gain)
    assert np.isfinite(gradient).all()
    assert 0 < jnp.sum(gradient) < latents.y.size * 3
    assert rate.bits_y[0] < bits(gain + 0.5) < rate.bits_y[0] + latents.y.size


def test_noise_changes_the_bits_of_z_only(coded, params) -> None:
    quality, latents, rate = coded
    keys = jax.random.split(jax.random.key(0), 8)
    noisy = [run(params, latents, jnp.array([quality]), k, method="noisy_rate") for k in keys]
    for sample in noisy:
        np.testing.assert_allclose(sample.y_hat, rate.y_hat, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(sample.bits_y, rate.bits_y, rtol=1e-5)
    bits_z = np.array([sample.bits_z[0] for sample in noisy])
    assert len(set(bits_z.tolist())) == 8
    assert abs(bits_z.mean() - rate.bits_z[0]) < 0.1 * rate.bits_z[0] + 8


def test_images_of_a_batch_do_not_mix(params, x) -> None:
    batch, quality = jnp.concatenate([x, x[:, ::-1]]), jnp.array([2.0, 7.0])
    latents = run(params, batch, quality, method="encode")
    together = run(params, latents, quality, method="rate")
    for i in range(2):
        alone = Latents(latents.y[i : i + 1], latents.z[i : i + 1])
        rate = run(params, alone, quality[i : i + 1], method="rate")
        np.testing.assert_allclose(rate.bits_y[0], together.bits_y[i], rtol=1e-4)
        np.testing.assert_allclose(rate.bits_z[0], together.bits_z[i], rtol=1e-4)


def test_encode_is_linear_without_the_residual_branch(params, x) -> None:
    head = "hyperprior/analysis/residual/head/"
    zero = {path: np.zeros_like(v) for path, v in params.items() if path.startswith(head)}
    quality = jnp.array([3.0])
    linear = run(params, x, method="encode_linear")
    whole = run(dict(params) | zero, x, quality, method="encode")
    np.testing.assert_allclose(whole.y, linear.y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(whole.z, linear.z, rtol=1e-3, atol=1e-3)
    assert np.abs(run(params, x, quality, method="encode").y - linear.y).max() > 0.01


def steps(params: Params, quality: np.ndarray) -> np.ndarray:
    model = CompressionModel(tiny_model.codec().model.config)
    call = lambda module, q: module.hyperprior.step(q)  # noqa: E731
    return np.asarray(model.apply(variables_of(params), jnp.asarray(quality), method=call))


def test_step_is_exact_at_the_knots_and_geometric_between(params) -> None:
    """8 knots over [1, 8]: one at each whole quality."""
    knots = 2.0 ** -params["hyperprior/log2_gain"]
    at_knots = steps(params, np.arange(1.0, 9.0))
    np.testing.assert_allclose(at_knots, knots, rtol=1e-5)
    half_way = steps(params, np.arange(1.5, 8.0))
    np.testing.assert_allclose(half_way, np.sqrt(knots[1:] * knots[:-1]), rtol=1e-5)


def test_step_shrinks_as_quality_grows(params) -> None:
    assert np.all(np.diff(steps(params, np.linspace(1, 8, 57)), axis=0) < 0)


def test_integer_steps_are_the_float_ones(params) -> None:
    coder = tiny_model.codec().model.coder
    expected = steps(params, 1 + np.arange(len(coder.step)) / 32)
    np.testing.assert_allclose(coder.step * 2.0**-24, expected, rtol=1e-5)
    np.testing.assert_allclose(coder.log2_step * 2.0**-16, np.log2(expected), atol=2e-5)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_knots_are_spread_evenly_over_all_qualities(count: int) -> None:
    knots = np.random.default_rng(1).normal(size=(count, 4)).astype(np.float32)
    quality = np.linspace(1, 8, count)
    np.testing.assert_allclose(interpolate_knots(knots, quality), knots, atol=1e-5)
    between = quality[:-1] * 0.75 + quality[1:] * 0.25
    expected = knots[:-1] * 0.75 + knots[1:] * 0.25
    np.testing.assert_allclose(interpolate_knots(knots, between), expected, atol=1e-5)


def test_normalized_quality() -> None:
    assert [normalized_quality(q) for q in (1, 4.5, 8)] == [0.0, 0.5, 1.0]
