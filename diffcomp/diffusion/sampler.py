"""DDIM (Song et al. 2021, eq. 12) as one `lax.scan`. It knows no network, only a `denoise_fn`."""

from typing import Protocol

import jax
import jax.numpy as jnp
from jax import Array

from diffcomp.diffusion.noise_schedule import SampleGrid, eps_from_x0


class DenoiseFn(Protocol):
    """(x_t [B, H, W, 3], t [], alpha_bar []) -> estimate of x_0 [B, H, W, 3]."""

    def __call__(self, x_t: Array, t: Array, alpha_bar: Array) -> Array: ...


def ddim(
    denoise_fn: DenoiseFn, x_T: Array, grid: SampleGrid, *, eta: float = 0.0, key: Array
) -> Array:
    """Walks x_T down the grid and returns x_0, [B, H, W, 3].

    eta in [0, 1] scales the fresh noise of each step; 0 is deterministic, 1 is ancestral sampling.
    The noise of step i is drawn from fold_in(key, i): a sample is a function of (x_T, key) alone.
    After the last level alpha_bar is 1, so the result is the last estimate of x_0 itself.
    """
    previous = jnp.append(grid.alpha_bar[1:], 1.0)

    def step(x_t: Array, level: tuple[Array, Array, Array, Array]) -> tuple[Array, None]:
        i, t, alpha_bar, alpha_bar_previous = level
        x0 = denoise_fn(x_t, t, alpha_bar)
        eps = eps_from_x0(x_t, x0, alpha_bar)
        variance = (1 - alpha_bar_previous) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_previous)
        sigma = eta * jnp.sqrt(jnp.maximum(variance, 0.0))
        direction = jnp.sqrt(jnp.maximum(1 - alpha_bar_previous - sigma**2, 0.0)) * eps
        noise = jax.random.normal(jax.random.fold_in(key, i), x_t.shape, x_t.dtype)
        return jnp.sqrt(alpha_bar_previous) * x0 + direction + sigma * noise, None

    levels = (jnp.arange(grid.t.shape[0]), grid.t, grid.alpha_bar, previous)
    return jax.lax.scan(step, x_T, levels)[0]
