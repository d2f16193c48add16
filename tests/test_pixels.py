"""Pixels: every uint8 survives the way to floats and back, and nothing wraps around."""

import jax.numpy as jnp
import numpy as np

from diffcomp.pixels import to_float, to_uint8


def test_every_value_survives():
    values = np.arange(256, dtype=np.uint8)
    floats = to_float(values)
    assert floats.dtype == jnp.float32
    np.testing.assert_array_equal(floats[jnp.array([0, 255])], [-1.0, 1.0])
    np.testing.assert_array_equal(to_uint8(floats), values)


def test_values_outside_are_cut_off_and_others_rounded():
    x = jnp.array([-1.5, 1.5, 99 / 127.5 - 1 + 0.49 / 127.5, 99 / 127.5 - 1 + 0.51 / 127.5])
    np.testing.assert_array_equal(to_uint8(x), np.array([0, 255, 99, 100], np.uint8))
