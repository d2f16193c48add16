"""The compiled programs of a codec: image to latents, estimated bits, and y_hat to image.

Each is made once per configuration and image size, by `network_programs`, and then found again: in
this process, or in the folder where JAX keeps compiled programs (see `program_store`).
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from jax import Array

from diffcomp import program_store
from diffcomp.architectures.registry import AnyModelConfig
from diffcomp.decode_settings import DecodeSettings
from diffcomp.params import Params


def encode_latents(
    config: AnyModelConfig, params: Params, image: np.ndarray, quality: float
) -> tuple[Array, Array]:
    """uint8 [H, W, 3], sides multiples of 64 -> y [H/16, W/16, C], z [H/64, W/64, D].

    `params` are those under the architecture's `encode_params`. JAX may still be computing y and z.
    """
    return program("encode", config, image.shape)(params, image, np.float32(quality))


def encode_batch(
    config: AnyModelConfig, params: Params, images: np.ndarray, quality: float
) -> tuple[Array, Array]:
    """As `encode_latents`, of several images [B, H, W, 3] -> [B, ...]."""
    return program("encode_batch", config, images.shape)(params, images, np.float32(quality))


def estimate_bits(
    config: AnyModelConfig, params: Params, image: np.ndarray, quality: float
) -> float:
    """Bits of y and z that the float model expects of uint8 [H, W, 3], sides multiples of 64."""
    run = program("estimate_bits", config, image.shape)
    return float(run(params, image, np.float32(quality)))


def synthesize(
    config: AnyModelConfig,
    params: Params,
    y_hat: np.ndarray,
    quality: float,
    settings: DecodeSettings,
) -> np.ndarray:
    """y_hat [H/16, W/16, C], sides multiples of 4 -> uint8 [H, W, 3]: context, then diffusion.

    `params` are those under the architecture's `decode_params`; `settings` are those that
    `DecodeSettings.filled` gives, none of them None.
    """
    knobs = (quality, settings.gamma, settings.eta, settings.realism)
    run = program(
        "synthesize",
        config,
        y_hat.shape,
        steps=settings.steps,
        compute_dtype=settings.compute_dtype,
    )
    inputs = (*map(np.float32, knobs), np.uint32(settings.seed))
    # A copy: JAX's own array cannot be written to.
    return np.array(run(params, y_hat, *inputs))


@functools.cache
def program(
    function: str, config: AnyModelConfig, shape: tuple[object, ...], **static: int | str
) -> Callable[..., Any]:
    """A function of `network_programs`, compiled at its first call.

    From `shape` and what is static follow the shapes and types of all arrays.
    """

    def build() -> Callable[..., Any]:
        from diffcomp import network_programs

        return functools.partial(getattr(network_programs, function), config, *static.values())

    return program_store.Program(build, (function, repr(config), shape, tuple(static.items())))
