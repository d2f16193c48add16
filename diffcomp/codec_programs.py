"""The compiled programs of a codec: image to latents, estimated bits, and y_hat to image.

Each is compiled once per configuration and image size. They serve every architecture.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffcomp.diffusion import sampler
from diffcomp.networks.model import Architecture, FlatParams, network, sample_grid, variables_of
from diffcomp.networks.pixels import to_float, to_uint8
from diffcomp.networks.transforms import Y_STRIDE


def encode_latents(
    config: Architecture, params: FlatParams, image: np.ndarray, quality: float
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [H, W, 3], sides multiples of 64 -> y [H/16, W/16, C], z [H/64, W/64, D]."""
    y, z = _encode(config, params, image, jnp.float32(quality))
    return np.asarray(y), np.asarray(z)


@functools.partial(jax.jit, static_argnums=0)
def _encode(
    config: Architecture, params: FlatParams, image: Array, quality: Array
) -> tuple[Array, Array]:
    x = to_float(image[None])
    latents = network(config).apply(variables_of(params), x, quality[None], method="encode")
    return latents.y[0], latents.z[0]


def estimate_bits(
    config: Architecture, params: FlatParams, image: np.ndarray, quality: float
) -> float:
    """Bits of y and z that the float model expects of uint8 [H, W, 3], sides multiples of 64."""
    return float(_estimate(config, params, image, jnp.float32(quality)))


@functools.partial(jax.jit, static_argnums=0)
def _estimate(config: Architecture, params: FlatParams, image: Array, quality: Array) -> Array:
    model, variables = network(config), variables_of(params)
    x = to_float(image[None])
    latents = model.apply(variables, x, quality[None], method="encode")
    rate = model.apply(variables, latents, quality[None], method="rate")
    return rate.bits_y[0] + rate.bits_z[0]


def synthesize(
    config: Architecture,
    params: FlatParams,
    y_hat: np.ndarray,
    quality: float,
    *,
    steps: int,
    gamma: float,
    eta: float,
    realism: float,
    seed: int,
) -> np.ndarray:
    """y_hat [H/16, W/16, C], sides multiples of 4 -> uint8 [H, W, 3]: context, then diffusion.

    The settings are those of `codec.DecodeSettings`.
    """
    knobs = tuple(jnp.float32(knob) for knob in (gamma, eta, realism, quality))
    return np.asarray(_synthesize(config, steps, params, y_hat, *knobs, jax.random.key(seed)))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _synthesize(
    config: Architecture,
    steps: int,
    params: FlatParams,
    y_hat: Array,
    gamma: Array,
    eta: Array,
    realism: Array,
    quality: Array,
    key: Array,
) -> Array:
    model, variables = network(config), variables_of(params)
    context = model.apply(variables, y_hat[None], quality[None], method="decode_context")

    def denoise_fn(x_t: Array, t: Array, alpha_bar: Array) -> Array:
        args = (x_t, t[None], alpha_bar[None], context, quality[None], realism[None])
        return model.apply(variables, *args, method="denoise")

    key_start, key_steps = jax.random.split(key)
    height, width = (Y_STRIDE * side for side in y_hat.shape[:2])
    x_T = gamma * jax.random.normal(key_start, (1, height, width, 3))
    grid = sample_grid(config, steps)
    return to_uint8(sampler.ddim(denoise_fn, x_T, grid, eta=eta, key=key_steps)[0])
