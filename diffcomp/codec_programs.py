"""The compiled programs of a codec: image to latents, estimated bits, and y_hat to image.

Each is compiled once per configuration and image size. They serve every architecture.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffcomp.architectures.registry import AnyModelConfig, architecture_of
from diffcomp.coding.grid import Y_STRIDE
from diffcomp.decode_settings import DecodeSettings
from diffcomp.diffusion import sampler
from diffcomp.params import Params, variables_of
from diffcomp.pixels import to_float, to_uint8

# The number of steps is part of a program, the other settings are its inputs.
jax.tree_util.register_dataclass(
    DecodeSettings, data_fields=["gamma", "eta", "realism", "seed"], meta_fields=["steps"]
)


def encode_latents(
    config: AnyModelConfig, params: Params, image: np.ndarray, quality: float
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [H, W, 3], sides multiples of 64 -> y [H/16, W/16, C], z [H/64, W/64, D]."""
    y, z = _encode(config, params, image, jnp.float32(quality))
    return np.asarray(y), np.asarray(z)


@functools.partial(jax.jit, static_argnums=0)
def _encode(
    config: AnyModelConfig, params: Params, image: Array, quality: Array
) -> tuple[Array, Array]:
    model = _bound(config, params)
    latents = model.encode(to_float(image[None]), quality[None])
    return latents.y[0], latents.z[0]


def estimate_bits(
    config: AnyModelConfig, params: Params, image: np.ndarray, quality: float
) -> float:
    """Bits of y and z that the float model expects of uint8 [H, W, 3], sides multiples of 64."""
    return float(_estimate(config, params, image, jnp.float32(quality)))


@functools.partial(jax.jit, static_argnums=0)
def _estimate(config: AnyModelConfig, params: Params, image: Array, quality: Array) -> Array:
    model = _bound(config, params)
    rate = model.rate(model.encode(to_float(image[None]), quality[None]), quality[None])
    return rate.bits_y[0] + rate.bits_z[0]


def synthesize(
    config: AnyModelConfig,
    params: Params,
    y_hat: np.ndarray,
    quality: float,
    settings: DecodeSettings,
) -> np.ndarray:
    """y_hat [H/16, W/16, C], sides multiples of 4 -> uint8 [H, W, 3]: context, then diffusion.

    `settings` are those that `DecodeSettings.filled` gives, none of them None.
    """
    inputs = dataclasses.replace(
        settings,
        gamma=jnp.float32(settings.gamma),
        eta=jnp.float32(settings.eta),
        realism=jnp.float32(settings.realism),
        seed=jnp.uint32(settings.seed),
    )
    return np.asarray(_synthesize(config, params, y_hat, jnp.float32(quality), inputs))


@functools.partial(jax.jit, static_argnums=0)
def _synthesize(
    config: AnyModelConfig, params: Params, y_hat: Array, quality: Array, settings: DecodeSettings
) -> Array:
    model = _bound(config, params)
    context = model.decode_context(y_hat[None], quality[None])

    def denoise_fn(x_t: Array, t: Array, alpha_bar: Array) -> Array:
        realism = settings.realism[None]
        return model.denoise(x_t, t[None], alpha_bar[None], context, quality[None], realism)

    key_start, key_steps = jax.random.split(jax.random.key(settings.seed))
    height, width = (Y_STRIDE * side for side in y_hat.shape[:2])
    x_T = settings.gamma * jax.random.normal(key_start, (1, height, width, 3))
    grid = architecture_of(config).sample_grid(config, settings.steps)
    return to_uint8(sampler.ddim(denoise_fn, x_T, grid, eta=settings.eta, key=key_steps)[0])


def _bound(config: AnyModelConfig, params: Params):  # noqa: ANN202
    """The network with its parameters: its methods can be called as they are."""
    return architecture_of(config).network(config).bind(variables_of(params))
