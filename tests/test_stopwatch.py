"""Timing of functions: what is counted, what is left out, and the two clocks."""

import time

import jax.numpy as jnp
import numpy as np
import pytest

from diffcomp.profiling.stopwatch import (
    Timing,
    measure,
    measure_jitted,
    plain_convolution,
    with_backward,
)


class Sleeper:
    """Takes the given seconds, call by call."""

    def __init__(self, *seconds):
        self.seconds = list(seconds)

    def __call__(self):
        time.sleep(self.seconds.pop(0))


def test_the_fastest_of_the_repeats_counts_after_two_calls():
    call = Sleeper(0.4, 0.0, 0.3, 0.05, 0.3)
    timing = measure(call, repeats=3)
    assert not call.seconds
    assert 0.05 <= timing.seconds < 0.3
    assert 0.2 < timing.compile_seconds < 10


def test_the_processor_clock_does_not_see_waiting():
    timing = measure(Sleeper(0.0, 0.0, 0.2), repeats=1, clock="cpu")
    assert timing.seconds < 0.1


def test_two_operations_to_a_multiply_accumulate():
    assert Timing(seconds=0.5, compile_seconds=0, macs=3 * 10**9).gflops == pytest.approx(12)


def test_a_jitted_function_is_counted():
    a, b = jnp.ones((4, 3)), jnp.ones((3, 5))
    timing = measure_jitted(jnp.matmul, (a, b), repeats=1)
    assert timing.macs == 4 * 3 * 5 and timing.seconds > 0


def test_backward_gives_the_value_and_all_gradients():
    value, gradients = with_backward(lambda a, b: a * b)(2.0, 3.0, 5.0)
    assert value == 15.0
    np.testing.assert_allclose(gradients, (10.0, 6.0))


def test_the_plain_convolution_goes_back_with_two_more_products():
    forward, both = (plain_convolution(backward=b, repeats=1) for b in (False, True))
    assert both.macs == 3 * forward.macs
    assert 0.1 < forward.gflops < 1e5


def test_clocks_and_repeats_are_checked():
    with pytest.raises(ValueError, match="clock is 'sun'; it must be one of wall, cpu"):
        measure(lambda: None, repeats=1, clock="sun")
    with pytest.raises(ValueError, match="repeats is 0; it must be at least 1"):
        measure(lambda: None, repeats=0)
