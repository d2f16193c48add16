"""DDIM (Song et al. 2021, eq. 12) as one `lax.scan`. It knows no network, only a `denoise_fn`."""

from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffcomp.diffusion.noise_schedule import SampleGrid, eps_from_x0


class DenoiseFn(Protocol):
    """(x_t [B, H, W, 3], t [], alpha_bar []) -> estimate of x_0 [B, H, W, 3]."""

    def __call__(self, x_t: Array, t: Array, alpha_bar: Array) -> Array: ...


class NoiseFn(Protocol):
    """Fresh standard normal noise of step i [], of the shape of x_t."""

    def __call__(self, i: Array) -> Array: ...


def ddim(
    denoise_fn: DenoiseFn, x_T: Array, grid: SampleGrid, *, eta: float = 0.0, noise_fn: NoiseFn
) -> Array:
    """Walks x_T down the grid and returns x_0, [B, H, W, 3].

    eta in [0, 1] scales the fresh noise of each step; 0 is deterministic, 1 is ancestral sampling.
    After the last level alpha_bar is 1, so the result is the last estimate of x_0 itself.
    """

    def step(x_t: Array, level: tuple[Array, Array, Array, Array]) -> tuple[Array, None]:
        i, t, alpha_bar, alpha_bar_next = level
        x0 = denoise_fn(x_t, t, alpha_bar)
        return ddim_step(x_t, x0, alpha_bar, alpha_bar_next, eta, noise_fn(i)), None

    levels = (jnp.arange(grid.t.shape[0]), grid.t, grid.alpha_bar, next_levels(grid))
    return jax.lax.scan(step, x_T, levels)[0]


def next_levels(grid: SampleGrid) -> Array:
    """alpha_bar of the level that follows each of the grid's, [steps]; after the last it is 1."""
    return jnp.append(grid.alpha_bar[1:], 1.0)


def levels_of_steps(grid: SampleGrid) -> list[tuple[np.float32, np.float32, np.float32]]:
    """t, alpha_bar and the alpha_bar that follows, for each step: for samplers that are no scan."""
    values = map(np.asarray, (grid.t, grid.alpha_bar, next_levels(grid)))
    return list(zip(*values, strict=True))


def ddim_step(
    x_t: Array, x0: Array, alpha_bar: Array, alpha_bar_next: Array, eta: Array | float, noise: Array
) -> Array:
    """From x_t and the estimate of x_0 to the next level; each pixel on its own."""
    eps = eps_from_x0(x_t, x0, alpha_bar)
    variance = (1 - alpha_bar_next) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_next)
    sigma = eta * jnp.sqrt(jnp.maximum(variance, 0.0))
    direction = jnp.sqrt(jnp.maximum(1 - alpha_bar_next - sigma**2, 0.0)) * eps
    return jnp.sqrt(alpha_bar_next) * x0 + direction + sigma * noise
