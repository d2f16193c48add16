"""What a codec computes in floats, as pure functions of parameters and arrays.

`codec_programs` compiles and keeps them. This module imports the networks; that one does not.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from diffcomp.architectures.registry import AnyModelConfig, architecture_of
from diffcomp.coding.grid import Y_STRIDE, Z_PER_Y
from diffcomp.diffusion import noise, sampler
from diffcomp.networks import staged_model
from diffcomp.networks.precision import cast_params, layers_follow_params
from diffcomp.params import Params, variables_of
from diffcomp.pixels import to_float, to_uint8


def encode(
    config: AnyModelConfig, params: Params, image: Array, quality: Array
) -> tuple[Array, Array]:
    """uint8 [H, W, 3], sides multiples of 64, quality [] -> y [H/16, W/16, C] and z."""
    latents = _bound(config, params).encode(to_float(image[None]), quality[None])
    return latents.y[0], latents.z[0]


def encode_batch(
    config: AnyModelConfig, params: Params, images: Array, quality: Array
) -> tuple[Array, Array]:
    """As `encode`, of several images [B, H, W, 3] -> [B, ...]."""
    qualities = jnp.broadcast_to(quality, images.shape[:1])
    latents = _bound(config, params).encode(to_float(images), qualities)
    return latents.y, latents.z


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

    height, width = (Y_STRIDE * side for side in y_hat.shape[:2])
    where = (jnp.zeros(2, jnp.int32), height, width)
    x_T = gamma * _if_any(gamma, lambda: noise.starting_noise(seed, *where))

    def noise_fn(i: Array) -> Array:
        return _if_any(eta, lambda: noise.fresh_noise(seed, i, *where))

    grid = architecture_of(config).sample_grid(config, steps)
    return to_uint8(sampler.ddim(denoise_fn, x_T, grid, eta=eta, noise_fn=noise_fn)[0])


def context(
    config: AnyModelConfig, params: Params, y_hat: Array, quality: Array
) -> tuple[Array, ...]:
    """y_hat [H/16, W/16, C], sides multiples of 4, quality [] -> the maps that a step is given.

    In float32, each [1, ...], in the order of the architecture's context.
    """
    maps = _bound(config, params).decode_context(y_hat[None], quality[None])
    return tuple(jax.tree.leaves(maps))


def denoise_step(
    config: AnyModelConfig,
    params: Params,
    x_t: Array,
    maps: tuple[Array, ...],
    level: tuple[Array, Array, Array],
    knobs: tuple[Array, Array, Array],
    fresh: Array,
) -> Array:
    """x_t [H, W, 3] and the maps of `context` -> x_t of the next level, after the last x_0 itself.

    level: t, alpha_bar and alpha_bar of the level that follows (1 after the last); knobs: quality,
    realism and eta, each []. fresh: standard normal noise [H, W, 3], without effect at eta 0.
    """
    t, alpha_bar, alpha_bar_next = level
    quality, realism, eta = knobs
    form = jax.tree.structure(jax.eval_shape(lambda: _least_context(config, params)))
    given = (t[None], alpha_bar[None], jax.tree.unflatten(form, maps))
    x0 = _bound(config, params).denoise(x_t[None], *given, quality[None], realism[None])
    return sampler.ddim_step(x_t[None], x0, alpha_bar, alpha_bar_next, eta, fresh[None])[0]


def _least_context(config: AnyModelConfig, params: Params) -> Any:
    """The context of 64 x 64 pixels, for its structure."""
    y_hat = jnp.zeros((1, Z_PER_Y, Z_PER_Y, config.latent_channels))
    return _bound(config, params).decode_context(y_hat, jnp.ones(1))


def encode_stage(
    config: AnyModelConfig, name: str, params: Params, quality: Array, *windows: Array
) -> Array:
    """One window of a stage of `encode`; windows [h, w, C] of its inputs, uint8 of the image."""
    inputs = (to_float(w[None]) if w.dtype == jnp.uint8 else w[None] for w in windows)
    return staged_model.encode_stage(_bound(config, params), name, quality[None], *inputs)[0]


def context_stage(
    config: AnyModelConfig,
    name: str,
    compute_dtype: str,
    params: Params,
    quality: Array,
    *windows: Array,
) -> Array:
    """One window of a stage of `synthesize` that does not depend on x_t."""
    model = _bound(config, cast_params(params, compute_dtype, architecture_of(config).float32))
    inputs = (window[None] for window in windows)
    with layers_follow_params():
        return staged_model.context_stage(model, name, quality[None], *inputs)[0]


def score_stage(
    config: AnyModelConfig,
    name: str,
    compute_dtype: str,
    params: Params,
    level: tuple[Array, Array, Array, Array],
    knobs: tuple[Array, Array, Array, Array],
    origin: Array,
    x_t: Array,
    *windows: Array,
) -> Array:
    """One window of the others.

    level: step, t, alpha_bar and alpha_bar of the level that follows; knobs: quality, eta, realism
    and seed, each []. x_t is the first input of the stages that have it. "x_hat" is the picture,
    uint8, "x_next" what x_t is in the next step.
    """
    model = _bound(config, cast_params(params, compute_dtype, architecture_of(config).float32))
    i, t, alpha_bar, alpha_bar_next = level
    quality, eta, realism, seed = knobs
    inputs = (window[None] for window in (x_t, *windows))
    with layers_follow_params():
        made = staged_model.score_stage(
            model,
            "x0" if name in ("x_hat", "x_next") else name,
            *(value[None] for value in (t, alpha_bar, quality, realism)),
            *inputs,
        )
    if name == "x_next":
        height, width = x_t.shape[:2]
        fresh = _if_any(eta, lambda: noise.fresh_noise(seed, i, origin, height, width))
        made = sampler.ddim_step(x_t[None], made, alpha_bar, alpha_bar_next, eta, fresh)
    return to_uint8(made[0]) if name == "x_hat" else made[0]


def starting_noise(
    config: AnyModelConfig, height: int, width: int, gamma: Array, seed: Array, origin: Array
) -> Array:
    """x_T of the pixels from `origin` on, float32 [height, width, 3]."""
    del config
    return gamma * noise.starting_noise(seed, origin, height, width)[0]


def _if_any(scale: Array, draw: Callable[[], Array]) -> Array:
    """Noise, or zeros, which are sooner drawn, where nothing is to come of it."""
    zeros = jax.eval_shape(draw)
    return jax.lax.cond(scale > 0, draw, lambda: jnp.zeros(zeros.shape, zeros.dtype))


def _bound(config: AnyModelConfig, params: Params) -> Any:
    """The network with its parameters: its methods can be called as they are."""
    return architecture_of(config).network(config).bind(variables_of(params))
