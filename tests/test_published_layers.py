"""The rearranged arithmetic against the definitions, written out."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffcomp.published.layers import (
    Conv,
    LinearAttention,
    ResnetBlock,
    UpConv,
    convolve,
    leaky_relu,
    subpixel_kernel,
)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def made(module: nn.Module, *inputs: np.ndarray) -> dict:
    """Random variables without a zero among them: a bias or gain left out would show."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    leaves, tree = jax.tree.flatten(shapes)
    return jax.tree.unflatten(tree, [0.3 * normal(i, *v.shape) + 0.1 for i, v in enumerate(leaves)])


def run(module: nn.Module, *args: Any, **kwargs: Any) -> np.ndarray:
    """`module.apply`, compiled."""
    return np.asarray(jax.jit(functools.partial(module.apply, **kwargs))(*args))


def correlate(x: np.ndarray, kernel: np.ndarray, margin: int) -> np.ndarray:
    x = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    side = kernel.shape[0]
    height, width = (n - side + 1 for n in x.shape[1:3])
    taps = ((i, j) for i in range(side) for j in range(side))
    return sum(x[:, i : i + height, j : j + width] @ kernel[i, j] for i, j in taps)


@pytest.mark.parametrize("n_out", [1, 3, 8])
@pytest.mark.parametrize(("side", "margin"), [(1, 0), (3, 1), (7, 3), (2, 1), (3, 0)])
def test_convolution_is_the_sum_over_the_taps(side, margin, n_out):
    x, kernel = normal(0, 2, 8, 9, 5), normal(1, side, side, 5, n_out)
    expected = correlate(x, kernel, margin)
    np.testing.assert_allclose(convolve(x, kernel, margin), expected, atol=2e-5)


@pytest.mark.parametrize("side", [4, 5])
def test_transposed_convolution_adds_up_what_each_value_spreads(side):
    x = normal(0, 2, 3, 4, 5)
    variables = made(UpConv(6, side), x)
    kernel, bias = (variables["params"][name] for name in ("kernel", "bias"))
    spread = np.zeros((2, 6 + side, 8 + side, 6))
    for i in range(3):
        for j in range(4):
            part = np.einsum("bc,klco->bklo", x[:, i, j], kernel)
            spread[:, 2 * i : 2 * i + side, 2 * j : 2 * j + side] += part
    first = {4: 1, 5: 2}[side]  # the published paddings
    expected = spread[:, first : first + 6, first : first + 8] + bias
    np.testing.assert_allclose(run(UpConv(6, side), variables, x), expected, atol=1e-5)


def test_the_plain_kernel_of_a_transposed_convolution_holds_its_values_once():
    kernel = jnp.arange(1.0, 5 * 5 * 2 * 3 + 1).reshape(5, 5, 2, 3)
    taps = subpixel_kernel(kernel)
    assert taps.shape == (3, 3, 2, 12)
    assert sorted(taps[taps > 0].tolist()) == sorted(kernel.ravel().tolist())


def test_a_convolution_may_get_its_channels_in_parts():
    x = normal(0, 1, 4, 4, 7)
    conv = Conv(7, 9, 3)
    variables = made(conv, x)
    first = run(conv, variables, x[..., :3])
    last = run(conv, variables, x[..., 3:], start=3, method="part")
    np.testing.assert_allclose(first + last, run(conv, variables, x), atol=1e-5)


@pytest.mark.parametrize(("n_in", "large"), [(7, False), (7, True), (9, False)])
def test_a_block_gives_the_same_with_terms_of_its_last_channels(n_in, large):
    """With 9 channels in and out there is no 1x1 convolution in the skip path."""
    x, e = normal(0, 2, 4, 4, n_in), normal(1, 2, 6)
    block = ResnetBlock(n_in, 9, large=large, timed=True)
    variables = made(block, x, e)
    assert ("skip" in variables["params"]) == (n_in != 9)

    @jax.jit
    def in_parts(variables, x, e):
        terms = block.apply(variables, x[..., 3:], method="terms")
        return block.apply(variables, x[..., :3], e, terms)

    expected = run(block, variables, x, e)
    np.testing.assert_allclose(in_parts(variables, x, e), expected, atol=1e-5)


def test_a_block_is_two_convolutions_around_a_skip_path():
    x, e = normal(0, 2, 4, 4, 5), normal(1, 2, 6)
    block = ResnetBlock(5, 9, timed=True)
    variables = made(block, x, e)
    p = variables["params"]

    def norm(h, name):
        h = h - h.mean(-1, keepdims=True)
        h = h / np.sqrt((h**2).mean(-1, keepdims=True) + 1e-5)
        return np.maximum(h * p[name]["scale"] + p[name]["bias"], 0)

    time = np.where(e > 0, e, 0.2 * e) @ p["time"]["kernel"] + p["time"]["bias"]
    h = norm(correlate(x, p["conv1"]["kernel"], 1) + p["conv1"]["bias"], "norm1")
    h = norm(
        correlate(h + time[:, None, None], p["conv2"]["kernel"], 1) + p["conv2"]["bias"], "norm2"
    )
    expected = h + correlate(x, p["skip"]["kernel"], 0) + p["skip"]["bias"]
    np.testing.assert_allclose(run(block, variables, x, e), expected, atol=2e-5)


def test_attention_in_three_products_is_that_in_six():
    x = normal(0, 2, 3, 4, 6)
    variables = made(LinearAttention(), x)
    p = variables["params"]
    u = x.reshape(2, 12, 6)
    u = u - u.mean(-1, keepdims=True)
    u = u / np.sqrt((u**2).mean(-1, keepdims=True) + 1e-5)
    q, k, v = np.split((u * p["norm"]["scale"] + p["norm"]["bias"]) @ p["qkv"], 3, axis=-1)
    k = np.exp(k) / np.exp(k).sum(axis=1, keepdims=True)
    context = np.einsum("bnd,bne->bde", k, v)
    mixed = np.einsum("bde,bnd->bne", context, q * 6**-0.5) @ p["out"] + p["bias"]
    expected = x + mixed.reshape(x.shape)
    np.testing.assert_allclose(run(LinearAttention(), variables, x), expected, atol=2e-5)


def test_leaky_relu_has_the_published_slope():
    np.testing.assert_allclose(leaky_relu(jnp.array([-2.0, 0.0, 3.0])), [-0.4, 0, 3], rtol=1e-6)
