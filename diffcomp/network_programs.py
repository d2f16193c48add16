"""What a codec computes in floats, as pure functions of parameters and arrays.

`codec_programs` compiles and keeps them. This module imports the networks; that one does not.
"""

from typing import Any

import jax
from jax import Array

from diffcomp.architectures.registry import AnyModelConfig, architecture_of
from diffcomp.coding.grid import Y_STRIDE
from diffcomp.diffusion import sampler
from diffcomp.networks.precision import cast_params, layers_follow_params
from diffcomp.params import Params, variables_of
from diffcomp.pixels import to_float, to_uint8


def encode(
    config: AnyModelConfig, params: Params, image: Array, quality: Array
) -> tuple[Array, Array]:
    """uint8 [H, W, 3], sides multiples of 64, quality [] -> y [H/16, W/16, C] and z."""
    latents = _bound(config, params).encode(to_float(image[None]), quality[None])
    return latents.y[0], latents.z[0]


def estimate_bits(config: AnyModelConfig, params: Params, image: Array, quality: Array) -> Array:
    """Bits of y and z, [], that the model expects of uint8 [H, W, 3], sides multiples of 64."""
    model = _bound(config, params)
    rate = model.rate(model.encode(to_float(image[None]), quality[None]), quality[None])
    return rate.bits_y[0] + rate.bits_z[0]


def synthesize(
    config: AnyModelConfig,
    steps: int,
    compute_dtype: str,
    params: Params,
    y_hat: Array,
    quality: Array,
    gamma: Array,
    eta: Array,
    realism: Array,
    seed: Array,
) -> Array:
    """y_hat [H/16, W/16, C], sides multiples of 4 -> uint8 [H, W, 3]: context, then diffusion.

    The networks compute in `compute_dtype`, noise and sampler in float32. The other inputs are
    those of `DecodeSettings`, each []; seed is uint32.
    """
    model = _bound(config, cast_params(params, compute_dtype, architecture_of(config).float32))
    with layers_follow_params():
        context = model.decode_context(y_hat[None], quality[None])

    def denoise_fn(x_t: Array, t: Array, alpha_bar: Array) -> Array:
        with layers_follow_params():
            args = (x_t, t[None], alpha_bar[None], context, quality[None], realism[None])
            return model.denoise(*args)

    key_start, key_steps = jax.random.split(jax.random.key(seed))
    height, width = (Y_STRIDE * side for side in y_hat.shape[:2])
    x_T = gamma * jax.random.normal(key_start, (1, height, width, 3))
    grid = architecture_of(config).sample_grid(config, steps)
    return to_uint8(sampler.ddim(denoise_fn, x_T, grid, eta=eta, key=key_steps)[0])


def _bound(config: AnyModelConfig, params: Params) -> Any:
    """The network with its parameters: its methods can be called as they are."""
    return architecture_of(config).network(config).bind(variables_of(params))
