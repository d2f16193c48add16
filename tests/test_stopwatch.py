"""Timing of functions: what is counted, what is left out, and the two clocks."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffcomp.profiling import stopwatch
from diffcomp.profiling.stopwatch import (
    CLOCKS,
    Timing,
    measure,
    measure_jitted,
    plain_convolution,
    with_backward,
)


class Clock:
    """Shows `now`, which only a `Call` moves on."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Call:
    """Moves the clock on by the given seconds, call by call."""

    def __init__(self, clock, *seconds):
        self.clock, self.seconds = clock, list(seconds)

    def __call__(self):
        self.clock.now += self.seconds.pop(0)


@pytest.fixture
def clocks(monkeypatch):
    for name in ("wall", "cpu"):
        monkeypatch.setitem(CLOCKS, name, Clock())
    return CLOCKS


def test_the_fastest_of_the_repeats_counts_after_two_calls(clocks):
    call = Call(clocks["wall"], 5.0, 1.0, 4.0, 2.0, 3.0)
    assert measure(call, repeats=3) == Timing(seconds=2.0, compile_seconds=4.0, macs=0)
    assert not call.seconds


def test_by_the_processors_clock_only_compilation_is_timed_on_the_wall(clocks):
    def call():
        wall(), cpu()

    wall = Call(clocks["wall"], 5.0, 1.0, 9.0)
    cpu = Call(clocks["cpu"], 8.0, 8.0, 0.5)
    timing = measure(call, repeats=1, clock="cpu", macs=7)
    assert timing == Timing(seconds=0.5, compile_seconds=4.0, macs=7)


def test_no_function_takes_no_time_or_a_negative_one_to_compile(clocks):
    timing = measure(Call(clocks["wall"], 1.0, 3.0, 0.0), repeats=1)
    assert timing.compile_seconds == 0
    assert 0 < timing.seconds < 1e-6


def test_the_processors_clock_shares_its_time_out_over_the_cores(monkeypatch):
    monkeypatch.setattr(stopwatch.time, "process_time", lambda: 12.0)
    monkeypatch.setattr(stopwatch.os, "sched_getaffinity", lambda process: {0, 1, 2})
    assert CLOCKS["cpu"]() == 4.0


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


def test_clocks_and_repeats_are_checked():
    with pytest.raises(ValueError, match="clock is 'sun'; it must be one of wall, cpu"):
        measure(lambda: None, repeats=1, clock="sun")
    with pytest.raises(ValueError, match="repeats is 0; it must be at least 1"):
        measure(lambda: None, repeats=0)
