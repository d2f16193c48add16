"""How long a compiled function takes, and how much of the machine's arithmetic that is.

Times of one machine say little about another. What carries over is the ratio of a function's
multiply-accumulates per second to those of `plain_convolution` on the same machine and clock.
"""

import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from diffcomp.profiling.complexity import count_macs

CHANNELS, SIDE, IMAGES = 128, 32, 8  # of the plain convolution: 4 MB in and out, 0.6 MB of kernel

# Seconds since some moment. "wall" is what a user waits; other jobs on the machine lengthen it.
# "cpu" is the processor time of this process, spread over all cores as if none ever waited: other
# jobs hardly change it, but it does not see work that keeps to one core.
CLOCKS: dict[str, Callable[[], float]] = {
    "wall": time.perf_counter,
    "cpu": lambda: time.process_time() / len(os.sched_getaffinity(0)),
}


class Timing(NamedTuple):
    """What one call of a function takes."""

    seconds: float  # the least of the repeats
    compile_seconds: float  # wall time of the first call, beyond that of the second
    macs: int  # multiply-accumulates of a call; 0 where none are counted

    @property
    def gflops(self) -> float:
        """Billions of floating-point operations per second, two to a multiply-accumulate."""
        return 2e-9 * self.macs / self.seconds


def measure(call: Callable[[], Any], *, repeats: int, clock: str = "wall", macs: int = 0) -> Timing:
    """Times `call` after two calls that do not count; waits for the JAX arrays that it returns.

    Raises ValueError for another clock than those of `CLOCKS`, or less than one repeat.
    """
    if clock not in CLOCKS:
        raise ValueError(f"clock is {clock!r}; it must be one of {', '.join(CLOCKS)}.")
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; it must be at least 1.")

    def seconds(now: Callable[[], float]) -> float:
        start = now()
        jax.block_until_ready(call())
        return now() - start

    first, second = (seconds(CLOCKS["wall"]) for _ in range(2))
    least = min(seconds(CLOCKS[clock]) for _ in range(repeats))
    return Timing(max(least, 1e-9), max(0.0, first - second), macs)


def measure_jitted(function: Callable, args: tuple, *, repeats: int, clock: str = "wall") -> Timing:
    """The same of `function(*args)` under `jax.jit`, with its multiply-accumulates counted."""
    jitted = jax.jit(function)
    macs = count_macs(function, *args)
    return measure(lambda: jitted(*args), repeats=repeats, clock=clock, macs=macs)


def plain_convolution(*, backward: bool, repeats: int, clock: str = "wall") -> Timing:
    """A 3x3 convolution of 128 channels that fits the caches, with its gradients if `backward`."""

    def convolve(x: Array, kernel: Array) -> Array:
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)

    x = jnp.full((IMAGES, SIDE, SIDE, CHANNELS), 0.5)
    kernel = jnp.full((3, 3, CHANNELS, CHANNELS), 0.01)
    function = with_backward(convolve) if backward else convolve
    args = (x, x, kernel) if backward else (x, kernel)
    return measure_jitted(function, args, repeats=repeats, clock=clock)


def with_backward(function: Callable) -> Callable:
    """function(*args) -> one of (cotangents, *args) that gives its value and all gradients."""

    def both(cotangents: Any, *args: Any) -> tuple[Any, tuple]:
        value, pull_back = jax.vjp(function, *args)
        return value, pull_back(cotangents)

    return both
