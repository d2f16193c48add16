"""The convolution with a quarter of the products against the plain one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffcomp.distances import winograd
from diffcomp.distances.convolution import conv_relu_3x3, quick_conv_relu_3x3


def made(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(2, 4, 4, 3), (1, 33, 70, 5), (1, 130, 62, 2), (1, 5, 1, 1)])
def test_it_is_the_plain_convolution(shape, monkeypatch):
    monkeypatch.setattr(winograd, "_AT_ONCE", 64)
    x, kernel, bias = made(*shape), made(3, 3, shape[3], 4, seed=1), np.zeros(4, np.float32)
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 0)
    monkeypatch.setattr(winograd, "LEAST_POSITIONS", 0)
    found = jax.jit(quick_conv_relu_3x3)(x, kernel, bias + 0.5)
    assert winograd.pays(x, kernel)
    expected = conv_relu_3x3(x, kernel, bias + 0.5)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_it_is_for_wide_layers_of_many_positions_on_cpus(monkeypatch):
    kernel = jnp.zeros((3, 3, 256, 8))
    assert winograd.pays(jnp.zeros((1, 64, 32, 256)), kernel)
    assert not winograd.pays(jnp.zeros((1, 64, 31, 256)), kernel)
    assert not winograd.pays(jnp.zeros((1, 64, 32, 128)), kernel)
    assert not winograd.pays(jnp.zeros((1, 64, 32, 256)), jnp.zeros((5, 5, 256, 8)))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not winograd.pays(jnp.zeros((1, 64, 32, 256)), kernel)


def test_values_of_wide_layers_keep_five_digits():
    x, kernel = np.maximum(made(1, 64, 32, 256), 0), made(3, 3, 256, 8, seed=1) / 48
    bias = np.zeros(8, np.float32)
    expected = conv_relu_3x3(x, kernel, bias)
    found = quick_conv_relu_3x3(x, kernel, bias)
    assert np.sqrt(np.mean(np.square(found - expected))) < 1e-5 * np.sqrt(np.mean(expected**2))
