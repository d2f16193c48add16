import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_model import normal, perturbed

from diffcomp.networks.layers import (
    FOURIER_FEATURES,
    Conditioning,
    ResBlock,
    ResBlocks,
    conv3x3,
    normalize,
)


def test_normalize_gives_zero_mean_and_unit_variance_over_the_channels():
    h = 5 + 3 * normal(0, (2, 3, 4, 64))
    u = np.asarray(normalize(h))
    np.testing.assert_allclose(u.mean(axis=-1), 0, atol=1e-6)
    np.testing.assert_allclose(u.var(axis=-1), 1, rtol=1e-5)


def test_normalize_ignores_shift_and_scale_of_a_position():
    h = normal(0, (1, 2, 2, 16))
    np.testing.assert_allclose(normalize(7 * h + 100), normalize(h), atol=1e-4)


def test_normalize_of_equal_channels_is_zero_with_a_finite_gradient():
    h = jnp.full((1, 2, 2, 8), 3.0)
    np.testing.assert_array_equal(normalize(h), np.zeros(h.shape))
    assert np.isfinite(jax.grad(lambda h: jnp.sum(normalize(h) ** 2))(h)).all()


def test_a_new_residual_block_is_the_identity():
    h, e = normal(0, (2, 5, 4, 8)), normal(1, (2, 6))
    module = ResBlocks(8, depth=3)
    variables = module.init(jax.random.key(2), h, e)
    np.testing.assert_array_equal(module.apply(variables, h, e), h)
    assert sorted(variables["params"]) == ["block0", "block1", "block2"]


def test_a_trained_residual_block_reads_features_and_embedding():
    h, e = normal(0, (2, 5, 4, 8)), normal(1, (2, 6))
    module = ResBlock(8)
    variables = perturbed(module.init(jax.random.key(2), h, e))
    out = module.apply(variables, h, e)
    assert out.shape == h.shape
    assert np.abs(out - h).max() > 0.01
    other = np.asarray(module.apply(variables, h, e.at[1].add(1.0)))
    # The embedding of an image modulates this image alone.
    np.testing.assert_allclose(other[0], out[0], atol=1e-6)
    assert np.abs(other[1] - out[1]).max() > 1e-3


def test_a_residual_block_is_its_formula():
    """On one position, where a 3x3 convolution is the product with its middle."""
    h, e = normal(0, (2, 1, 1, 8)), normal(1, (2, 6))
    module = ResBlock(8)
    variables = perturbed(module.init(jax.random.key(2), h, e))
    p = jax.tree.map(lambda v: np.asarray(v, np.float64), variables["params"])
    x, e = (np.asarray(v, np.float64).reshape(2, -1) for v in (h, e))

    def conv(name, u):
        return u @ p[name]["kernel"][1, 1] + p[name]["bias"]

    scale, shift = np.split(e @ p["film"]["kernel"] + p["film"]["bias"], 2, axis=-1)
    u = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True) * (1 + scale) + shift
    u = conv("conv_in", u)
    expected = x + conv("conv_out", u / (1 + np.exp(-u)))
    out = module.apply(variables, h, e.astype(np.float32))
    np.testing.assert_allclose(out.reshape(2, 8), expected, rtol=1e-4, atol=1e-5)


def test_a_residual_block_sees_two_positions_around_each():
    h, e = normal(0, (1, 9, 9, 4)), normal(1, (1, 3))
    module = ResBlock(4)
    variables = perturbed(module.init(jax.random.key(2), h, e))
    difference = module.apply(variables, h.at[0, 4, 4, 0].add(1.0), e) - module.apply(
        variables, h, e
    )
    touched = np.abs(difference).max(axis=(0, 3)) > 1e-6
    assert touched[2:7, 2:7].all()
    assert touched.sum() == 25


def test_conv3x3_keeps_the_size_and_can_start_at_zero():
    x = normal(0, (1, 7, 5, 3))
    for zero in (False, True):
        conv = conv3x3(6, "conv", zero=zero)
        out = conv.apply(conv.init(jax.random.key(1), x), x)
        assert out.shape == (1, 7, 5, 6)
        assert bool((out == 0).all()) is zero


def test_conditioning_is_a_two_layer_network_on_cosines():
    u, v = jnp.array([0.0, 0.3, 1.0]), jnp.array([0.5, 0.2, 0.9])
    module = Conditioning(width=6)
    variables = perturbed(module.init(jax.random.key(0), (u, v)))
    layers = jax.tree.map(np.asarray, variables["params"])

    def silu(x):
        return x / (1 + np.exp(-x))

    k = np.arange(FOURIER_FEATURES)
    features = [np.cos(np.pi * np.asarray(s, np.float64)[:, None] * k) for s in (u, v)]
    e = np.concatenate(features, axis=1)
    for name in ("hidden", "out"):
        e = silu(e @ layers[name]["kernel"] + layers[name]["bias"])
    embedding = module.apply(variables, (u, v))
    assert embedding.shape == (3, 6)
    np.testing.assert_allclose(embedding, e, atol=1e-5)


def test_conditioning_tells_all_values_of_a_scalar_apart():
    """cos(pi u) is one-to-one on [0, 1]: the end 1 is not the start 0 again."""
    u = jnp.linspace(0, 1, 33)
    module = Conditioning(width=16)
    e = np.asarray(module.apply(module.init(jax.random.key(0), (u,)), (u,)))
    distances = np.linalg.norm(e[:, None] - e[None], axis=-1)
    assert distances[~np.eye(33, dtype=bool)].min() > 1e-3
    assert distances[0, -1] == pytest.approx(distances.max(), rel=0.5)
