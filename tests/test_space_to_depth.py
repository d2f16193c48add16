"""Tests of the exchange of space for channels: order, inverse, both kinds of arrays."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffcomp.coding.space_to_depth import depth_to_space, space_to_depth


@pytest.mark.parametrize("block", [1, 2, 3])
def test_order_of_channels_is_row_column_channel(block: int) -> None:
    b, h, w, c = 2, 2, 3, 5
    x = np.random.default_rng(0).normal(size=(b, h * block, w * block, c))
    y = space_to_depth(x, block)
    assert y.shape == (b, h, w, block * block * c)
    for row in range(block):
        for column in range(block):
            first = (row * block + column) * c
            expected = x[:, row::block, column::block]
            np.testing.assert_array_equal(y[..., first : first + c], expected)


@pytest.mark.parametrize(
    ("shape", "block"), [((1, 4, 6, 3), 2), ((2, 9, 3, 1), 3), ((1, 4, 4, 2), 4)]
)
def test_inverse(shape: tuple[int, ...], block: int) -> None:
    x = np.random.default_rng(1).integers(-(2**15), 2**15, shape).astype(np.float64)
    np.testing.assert_array_equal(depth_to_space(space_to_depth(x, block), block), x)
    y = x.reshape(1, -1, 1, block * block)
    np.testing.assert_array_equal(space_to_depth(depth_to_space(y, block), block), y)


def test_both_kinds_of_arrays_agree() -> None:
    x = np.random.default_rng(2).normal(size=(2, 8, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(space_to_depth(jnp.asarray(x), 4), space_to_depth(x, 4))
    np.testing.assert_array_equal(depth_to_space(jnp.asarray(x[..., :1]), 1), x[..., :1])
    d = x.reshape(2, 2, 4, 12)
    np.testing.assert_array_equal(depth_to_space(jnp.asarray(d), 2), depth_to_space(d, 2))


@pytest.mark.parametrize("shape", [(1, 5, 4, 3), (1, 4, 5, 3)])
def test_a_side_that_is_no_multiple_raises(shape: tuple[int, ...]) -> None:
    for zeros in (np.zeros(shape), jnp.zeros(shape)):
        with pytest.raises((ValueError, TypeError)):  # NumPy's and JAX's own
            space_to_depth(zeros, 2)
