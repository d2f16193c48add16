"""The forward diffusion x_t = alpha(t) x + sigma(t) eps, alpha^2 + sigma^2 = 1, and its grids.

t runs from 0 (clean) to 1 (noise). The cosine schedule is that of Nichol & Dhariwal 2021 (eq. 17)
in continuous time, without its offset: alpha(t) = cos(pi t / 2), cut off at both ends so that
the signal-to-noise ratio alpha^2 / sigma^2 stays within [MIN_SNR, MAX_SNR].
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

MIN_SNR = 1e-5
MAX_SNR = 1e5


class SampleGrid(NamedTuple):
    """The noise levels that a sampler visits, from the noisiest to the cleanest."""

    t: Array  # [steps], what the score network is told
    alpha_bar: Array  # [steps], alpha(t)^2


def alpha_bar_cosine(t: Array) -> Array:
    """alpha(t)^2 of the cosine schedule; t any shape in [0, 1]."""
    alpha_bar = jnp.cos(0.5 * jnp.pi * t) ** 2
    return jnp.clip(alpha_bar, MIN_SNR / (1 + MIN_SNR), MAX_SNR / (1 + MAX_SNR))


def snr(alpha_bar: Array) -> Array:
    """Signal-to-noise ratio alpha^2 / sigma^2."""
    return alpha_bar / (1 - alpha_bar)


def add_noise(x: Array, eps: Array, alpha_bar: Array) -> Array:
    """q(x_t | x): x, eps [B, H, W, 3], alpha_bar [B] -> x_t [B, H, W, 3]."""
    a = alpha_bar[:, None, None, None]
    return jnp.sqrt(a) * x + jnp.sqrt(1 - a) * eps


def eps_from_x0(x_t: Array, x0: Array, alpha_bar: Array) -> Array:
    """The noise that turns x0 into x_t at this level."""
    return (x_t - jnp.sqrt(alpha_bar) * x0) / jnp.sqrt(1 - alpha_bar)


def x0_from_eps(x_t: Array, eps: Array, alpha_bar: Array) -> Array:
    """The image that the noise eps turns into x_t at this level."""
    return (x_t - jnp.sqrt(1 - alpha_bar) * eps) / jnp.sqrt(alpha_bar)


def cosine_grid(steps: int) -> SampleGrid:
    """`steps` levels t = 1, 1 - 1/steps, ..., 1/steps; the sampler's last move goes to t = 0.

    Raises ValueError unless steps >= 1.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; a decode takes at least 1 step.")
    t = 1 - jnp.arange(steps, dtype=jnp.float32) / steps
    return SampleGrid(t=t, alpha_bar=alpha_bar_cosine(t))
