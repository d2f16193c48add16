"""Wasserstein distortion: what its windows forgive, and its definition in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metric_pairs import face
from pictures import noise

from diffcomp.distances.lpips import normalized, vgg_features
from diffcomp.distances.lpips_weights import load_lpips
from diffcomp.distances.wasserstein_distortion import (
    POWERS,
    local_moments,
    moments_distance,
    wasserstein_distortion,
)
from diffcomp.pixels import to_float

WEIGHTS = load_lpips("vgg")
distortion = jax.jit(wasserstein_distortion, static_argnames="sigma")


def pair():
    return to_float(face(64, 64)[None]), to_float(noise(0, 64, 64)[None] // 4 + face(64, 64) // 2)


def test_equal_images_have_none():
    x, x_hat = pair()
    both = distortion(WEIGHTS, jnp.concatenate([x, x]), jnp.concatenate([x, x_hat]))
    assert both.shape == (2,) and both[0] == 0 and both[1] > 0.01


def test_windows_of_no_width_give_the_squared_error_of_the_activations():
    x, x_hat = pair()
    features = [(normalized(each), *vgg_features(WEIGHTS, each)) for each in (x, x_hat)]
    errors = [np.mean(np.square(f - g)) for f, g in zip(*features, strict=True)]
    expected = np.mean(np.divide(errors, POWERS))
    assert distortion(WEIGHTS, x, x_hat, sigma=0)[0] == pytest.approx(expected, rel=1e-5)
    # A Gaussian far narrower than a pixel is none at all.
    narrow = distortion(WEIGHTS, x, x_hat, sigma=0.05)[0]
    assert narrow == pytest.approx(expected, rel=1e-4)


def test_moments_are_those_of_a_gaussian_window():
    f = np.random.default_rng(0).normal(3, 2, (1, 40, 30, 2)).astype(np.float32)
    mean, deviation = local_moments([f], sigma=8.0)[0]
    assert mean.shape == (1, 10, 8, 2)
    rows, columns = np.indices((40, 30))
    for i, j in [(0, 0), (3, 7), (9, 2)]:
        away = np.stack([rows - 4 * i, columns - 4 * j])
        weights = np.exp(-(away**2).sum(0) / 128) * (np.abs(away).max(0) <= 28)
        weights = (weights / weights.sum())[..., None]
        expected = (weights * f[0]).sum((0, 1))
        spread = np.sqrt((weights * (f[0] - expected) ** 2).sum((0, 1)))
        np.testing.assert_allclose(mean[0, i, j], expected, rtol=1e-5)
        np.testing.assert_allclose(deviation[0, i, j], spread, rtol=1e-4)


def test_depths_share_the_width_in_pixels_and_weigh_by_their_powers():
    features = [
        np.ones((1, 64 >> depth, 64 >> depth, 1), np.float32) for depth in (0, 0, 1, 2, 3, 4)
    ]
    moments = local_moments(features)
    assert [mean.shape[1] for mean, _ in moments] == [16, 16, 16, 16, 8, 4]
    for depth, power in enumerate(POWERS):
        other = [(m + 3 * (i == depth), s) for i, (m, s) in enumerate(moments)]
        assert moments_distance(moments, other)[0] == pytest.approx(9 / power / 6, rel=1e-5)


def test_texture_that_is_drawn_anew_costs_far_less_than_by_its_squared_error():
    """Of noise shuffled, and of noise blurred by as much squared error, which is right?"""
    texture = noise(1, 96, 96)
    rng = np.random.default_rng(2)
    blocks = texture.reshape(12, 8, 12, 8, 3).transpose(0, 2, 1, 3, 4).reshape(144, 64, 3)
    shuffled = rng.permuted(blocks.reshape(144, 64 * 3).reshape(144, 64, 3), axis=1)
    shuffled = shuffled.reshape(12, 12, 8, 8, 3).transpose(0, 2, 1, 3, 4).reshape(96, 96, 3)
    flat = np.full_like(texture, 128)
    x, again, blank = (to_float(each[None]) for each in (texture, shuffled, flat))
    errors = [float(jnp.mean(jnp.square(x - each))) for each in (again, blank)]
    assert errors[0] > 1.8 * errors[1]  # by pixels a grey area is better by far
    values = [float(distortion(WEIGHTS, x, each)[0]) for each in (again, blank)]
    assert values[0] < 0.05 * values[1]
    pointwise = [float(distortion(WEIGHTS, x, each, sigma=0)[0]) for each in (again, blank)]
    assert values[0] / values[1] < 0.2 * pointwise[0] / pointwise[1]


def test_images_that_break_the_rules_are_refused():
    x = jnp.zeros((1, 32, 32, 3))
    with pytest.raises(ValueError, match="they must be equal"):
        wasserstein_distortion(WEIGHTS, x, x[:, :31])
    with pytest.raises(ValueError, match="needs at least 16x16"):
        wasserstein_distortion(WEIGHTS, x[:, :15], x[:, :15])
