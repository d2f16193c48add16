"""Rounding and bounds that gradients can pass."""

import jax
import jax.numpy as jnp
from jax import Array


def ste_round(x: Array) -> Array:
    """Rounds to the nearest integer; the gradient is that of the identity (straight-through)."""
    return x + jax.lax.stop_gradient(jnp.round(x) - x)


def add_uniform_noise(x: Array, key: Array) -> Array:
    """x + U(-1/2, 1/2): a proxy of rounding in a rate (Ballé et al. 2017, eq. 7)."""
    return x + jax.random.uniform(key, x.shape, x.dtype, -0.5, 0.5)


def quantize(y: Array, parameters: Array, step: Array) -> tuple[Array, Array]:
    """y_hat = mean + step * symbols, and the symbols, with straight-through gradients; all like y.

    parameters [..., 2 C]: mean, then log2 scale; step is broadcast to y.
    """
    mean = parameters[..., : y.shape[-1]]
    symbols = ste_round((y - mean) / step)
    return mean + step * symbols, symbols


@jax.custom_vjp
def lower_bound(x: Array, bound: float) -> Array:
    """max(x, bound), whose gradient also passes below the bound if descent would raise x.

    With the gradient of a plain maximum, a value once below the bound could never come back.
    """
    return jnp.maximum(x, bound)


def _lower_bound_forward(x: Array, bound: float) -> tuple[Array, Array]:
    return jnp.maximum(x, bound), x >= bound


def _lower_bound_backward(inside: Array, gradient: Array) -> tuple[Array, None]:
    return jnp.where(inside | (gradient < 0), gradient, 0.0), None


lower_bound.defvjp(_lower_bound_forward, _lower_bound_backward)
