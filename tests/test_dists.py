import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metric_pairs import add_noise, blur, face
from pictures import noise, to_float

from diffcomp.distances import dists as module
from diffcomp.distances.dists import dists, dists_distance, dists_features, load_dists

# The weights are arguments here: as constants under jit, XLA would work on them for seconds.
# That the values are the published ones is tested with the other metrics.
distance_of = jax.jit(dists)
# Its programs are few, and turn the millions of weights round at each call: these are made fast.
FAST = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
gradient_of = jax.jit(
    jax.grad(lambda weights, x, x_hat: jnp.sum(dists(weights, x, x_hat)), 2), compiler_options=FAST
)


def test_identical_images_have_distance_and_gradient_zero():
    x = to_float(face(33, 36), noise(0, 33, 36), np.full((33, 36, 3), 128, np.uint8))
    np.testing.assert_array_equal(distance_of(load_dists(), x, x), 0)
    np.testing.assert_allclose(gradient_of(load_dists(), x, x), 0, atol=1e-7)


def test_gradient_is_finite_at_constant_images():
    """Variances, and the sums under many poolings, are 0 there."""
    weights, images = load_dists(), to_float(*[face(33, 36)] * 3)
    black_grey_white = jnp.broadcast_to(jnp.float32([-1, 0, 1])[:, None, None, None], images.shape)
    for x in (images, black_grey_white, black_grey_white[::-1]):
        assert np.all(np.isfinite(gradient_of(weights, x, black_grey_white)))
    assert np.all(np.any(gradient_of(weights, images, black_grey_white), axis=(1, 2, 3)))


def test_gradient_equals_finite_differences():
    weights = load_dists()
    x = to_float(face(33, 36), noise(3, 33, 36), blur(noise(4, 33, 36), 1))
    x_hat = jnp.roll(x, 1, axis=0)
    g = np.asarray(gradient_of(weights, x, x_hat))
    rng = np.random.default_rng(5)
    for _ in range(3):
        # Random in the gradient's own signs: the slope is then large beside float32's rounding.
        # Short: channels whose means are near 0 bend within a thousandth.
        step = 1e-5 * np.sign(g) * rng.uniform(0, 1, g.shape).astype(np.float32)
        ahead, behind = (distance_of(weights, x, x_hat + s * step) for s in (1, -1))
        slope = np.sum(g * step, axis=(1, 2, 3))
        np.testing.assert_allclose((ahead - behind) / 2, slope, rtol=2e-2)


def test_each_image_of_a_batch_is_judged_alone_and_the_distance_is_symmetric():
    weights = load_dists()
    x = to_float(face(33, 36), noise(6, 33, 36), noise(7, 33, 36))
    x_hat = to_float(blur(face(33, 36), 1), noise(8, 33, 36), face(33, 36))
    batch = distance_of(weights, x, x_hat)
    singles = [distance_of(weights, x[i : i + 1], x_hat[i : i + 1])[0] for i in range(3)]
    assert batch.shape == (3,) and batch.dtype == jnp.float32
    assert np.ptp(batch) > 0.1
    np.testing.assert_allclose(batch, singles, rtol=1e-4)
    np.testing.assert_allclose(batch, distance_of(weights, x_hat, x), rtol=1e-4)


def test_resampled_texture_costs_less_than_its_loss():
    """What sets DISTS apart from distances of pixels."""
    texture, other, flat = noise(9, 64, 64), noise(10, 64, 64), np.full((64, 64, 3), 127, np.uint8)
    weights = load_dists()
    resampled, lost = distance_of(weights, to_float(texture, texture), to_float(other, flat))
    assert np.mean((texture / 255 - other / 255) ** 2) > np.mean((texture / 255 - 0.5) ** 2)
    assert 0 < resampled < lost / 2 < 0.5


def test_distance_grows_with_noise():
    image = face(64, 64)
    x_hat = to_float(*[add_noise(image, 1, strength) for strength in (2, 6, 18, 54)])
    distances = distance_of(load_dists(), to_float(*[image] * 4), x_hat)
    assert distances[0] > 0
    assert np.all(np.diff(distances) > 0), distances


def test_features_computed_once_give_the_same_distance():
    weights = load_dists()
    x, x_hat = to_float(face(33, 36)), to_float(blur(face(33, 36), 1))
    features_of = jax.jit(dists_features)
    features = features_of(weights, x)
    assert [f.shape[1:] for f in features] == [
        (33, 36, 3), (33, 36, 64), (17, 18, 128), (9, 9, 256), (5, 5, 512), (3, 3, 512),
    ]  # fmt: skip
    np.testing.assert_allclose(features[0][0], face(33, 36) / 255, atol=1e-6)
    distance = jax.jit(dists_distance)(weights, features, features_of(weights, x_hat))
    np.testing.assert_allclose(distance, distance_of(weights, x, x_hat), rtol=1e-4)


@pytest.mark.parametrize("height, width", [(6, 7), (7, 8), (1, 2)])
def test_pooling_is_a_convolution_with_a_window_of_hann(height, width):
    x = np.random.default_rng(11).normal(size=(2, height, width, 3)).astype(np.float32)
    hann = np.hanning(5)[1:-1]
    window = np.outer(hann, hann) / np.sum(np.outer(hann, hann))
    padded = np.pad(x.astype(np.float64) ** 2, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = [
        [
            np.sqrt(np.tensordot(window, padded[:, i : i + 3, j : j + 3], ([0, 1], [1, 2])))
            for j in range(0, width, 2)
        ]
        for i in range(0, height, 2)
    ]
    pooled = module.l2_pool(jnp.asarray(x))
    np.testing.assert_allclose(pooled, np.moveaxis(expected, 2, 0), rtol=1e-5)


def test_pooling_is_differentiable_at_zero():
    assert not np.any(jax.grad(lambda x: jnp.sum(module.l2_pool(x)))(jnp.zeros((1, 4, 4, 2))))


def test_the_smallest_image_is_taken_and_a_smaller_one_refused():
    weights = load_dists()
    assert 0 < distance_of(weights, to_float(noise(12, 16, 16)), to_float(noise(13, 16, 16)))[0] < 1
    for height, width in [(15, 64), (64, 15)]:
        x = jnp.zeros((1, height, width, 3), jnp.float32)
        with pytest.raises(
            ValueError, match=f"images are {height}x{width} pixels; DISTS needs at least 16x16"
        ):
            dists(weights, x, x)


def test_images_of_another_shape_or_dtype_are_refused():
    weights, x = load_dists(), jnp.zeros((1, 32, 32, 3), jnp.float32)
    with pytest.raises(ValueError, match=r"x has shape \(1, 32, 32, 3\) and x_hat \(2, 32, "):
        dists(weights, x, jnp.zeros((2, 32, 32, 3), jnp.float32))
    for bad in (x.astype(jnp.uint8), x[0], x[..., :1]):
        with pytest.raises(ValueError, match=r"must be float32 \[B, H, W, 3\]"):
            dists(weights, bad, bad)


def test_weights_are_not_negative_and_add_to_one():
    weights = load_dists()
    assert load_dists() is weights
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(weights))
    assert tuple(map(len, weights.alpha)) == tuple(map(len, weights.beta)) == module.NUM_CHANNELS
    channels = np.concatenate([*weights.alpha, *weights.beta])
    assert np.all(channels >= 0)
    assert np.sum(channels, dtype=np.float64) == pytest.approx(1, abs=1e-6)


def test_weights_first_loaded_under_jit_are_usable_outside():
    load_dists.cache_clear()
    x = to_float(noise(14, 33, 36))
    inside = jax.jit(lambda x: dists(load_dists(), x, -x))(x)
    np.testing.assert_allclose(inside, distance_of(load_dists(), x, -x), rtol=1e-4)
    assert "DISTS_pytorch" not in sys.modules
