"""Latents fitted to the very picture: bytes saved with time at the encoder, for the same decoder.

The analysis transform gives y in one go, for all pictures alike. From there, gradient steps on the
loss that the model was trained with (rate + distortion + perception, decoder frozen) move y to what
serves this picture; the file format does not change. Rounding passes gradients straight through.

After Campos, Meierhans, Djelouah and Schroers, "Content Adaptive Optimization for Neural Image
Compression" (CVPR Workshops 2019), and Yang, Bamler and Mandt, "Improving Inference for Neural
Image Compression" (NeurIPS 2020).
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import PyTreeDef

from diffcomp import program_store
from diffcomp.architectures.registry import AnyModelConfig, architecture_of
from diffcomp.coding.grid import Y_STRIDE, Z_STRIDE
from diffcomp.coding.quality import MAX_EFFORT
from diffcomp.distances.lpips_weights import load_lpips
from diffcomp.objectives.config import LossConfig
from diffcomp.params import Params
from diffcomp.pixels import to_float
from diffcomp.tiling import Span

# Gradient steps of each effort. A step takes about as long as a dozen encodings.
STEPS = (0, 2, 3, 4, 6, 8, 10, 14, 20, 30)
# A block of the picture at a time, so that memory is bounded and one program serves all pictures:
# its side, and how much of it is only looked at, both in positions of z (64 pixels).
BLOCK = 8
MARGIN = 1

# Root mean square move of y in the first step, in quantisation steps by the quality alone. Steps
# follow the gradient's direction, not Adam's: that would move what matters little as far as what
# matters.
RATE = 1 / 1024
MOMENTUM = 0.8

# The trade that configs/base_structure.py trained for, without VGG16, which is slow.
LOSS = LossConfig(
    lmbda_low=0.00014,
    lmbda_high=0.0165,
    lpips_net="alex",
    lpips_scale=150.0,
    lpips_vgg_scale=0.0,
    dists_scale=0.0,
    grid_scale=10.0,
    box_scales=(2.0, 8.0),
    structure_scale=1500.0,
    rho_max=0.9,
    realism_range=(1.0, 1.0),
    start_share=1.0,
    gamma_range=(0.0, 0.0),
    balance=0.0,
    base_weight=0.2,
    snr_weights=(1.0, 5.0),
)


def check_effort(effort: Any, one_rate: bool) -> None:
    """Raises ValueError for an effort that does not exist, or that the model cannot make."""
    if effort not in range(MAX_EFFORT + 1):
        raise ValueError(f"effort is {effort!r}; it must be an integer from 0 to {MAX_EFFORT}.")
    if effort and one_rate:
        raise ValueError(f"effort is {effort}; a model of one rate takes none but 0.")


def refine(
    config: AnyModelConfig,
    params: Params,
    image: np.ndarray,
    stated: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    step: np.ndarray,
    quality: float,
    effort: int,
) -> np.ndarray:
    """y that costs less for what it gives, float32 like y.

    Args:
      params: all of the model's, by path.
      image: uint8 [H, W, 3], sides multiples of 64.
      stated: bool [H, W], where the file states the colour, whatever y is.
      y, z: its latents, [H/16, W/16, C] and [H/64, W/64, D]. z stays as it is.
      step: quantisation step of each channel of y by the quality alone, float32 [C].
      quality: in [1, 8].
      effort: 1 to 9.

    Raises:
      ImportError: if the weights of LPIPS are not installed; see `load_lpips`.
    """
    # As a list: a program that is kept takes no class of ours.
    lpips, structure = jax.tree.flatten(load_lpips(LOSS.lpips_net))
    y = y.copy()
    for rows in _spans(z.shape[0]):
        for columns in _spans(z.shape[1]):
            pixels, at_y, at_z = (
                _window(rows, columns, unit) for unit in (Z_STRIDE, Z_STRIDE // Y_STRIDE, 1)
            )
            block = image[pixels]
            program = _program(config, structure, block.shape[:2], STEPS[effort])
            free = _free(rows, columns)
            inputs = (block, stated[pixels], y[at_y], z[at_z], free, step, jnp.float32(quality))
            y[at_y] = np.asarray(program(params, lpips, *inputs))
    return y


def descend(
    config: AnyModelConfig,
    structure: PyTreeDef,
    steps: int,
    params: Params,
    lpips: list[Array],
    image: Array,
    stated: Array,
    y: Array,
    z: Array,
    free: Array,
    step: Array,
    quality: Array,
) -> Array:
    """The best y of `steps` gradient steps and the start; `free` [h, w] is 1 where y may move.

    `lpips` are the weights of LPIPS, flattened; `structure` puts them together.
    """
    from diffcomp.networks.latents import Latents
    from diffcomp.objectives.base import Conditions, latents_loss
    from diffcomp.objectives.objective import Objective

    architecture = architecture_of(config)
    network = architecture.network(config)
    weights = jax.tree.unflatten(structure, lpips)
    objective = Objective(network, LOSS, architecture.float32, lpips_weights=weights)
    model = objective.bind(params)
    x, flat = to_float(image[None]), stated[None, :, :, None]
    one = jnp.ones(1)
    step = step[None, None]
    c = Conditions(quality[None], one, one, jnp.zeros_like(x), jax.random.key(0))

    @jax.value_and_grad
    def loss(moved: Array) -> Array:
        latents = Latents((y + step * moved)[None], z[None])
        return latents_loss(objective, model, x, flat, latents, c)[0]

    def move(carry: tuple[Array, ...], i: Array) -> tuple[tuple[Array, ...], None]:
        moved, velocity, least, best = carry
        value, gradient = loss(moved)
        best = jnp.where(value < least, moved, best)
        gradient = gradient * free[:, :, None]
        length = jnp.sqrt(jnp.mean(jnp.square(gradient)) + 1e-30)
        velocity = MOMENTUM * velocity + gradient / length
        rate = RATE * 0.5 * (1 + jnp.cos(jnp.pi * i / steps))
        return (moved - rate * velocity, velocity, jnp.minimum(value, least), best), None

    zero = jnp.zeros_like(y)
    start = (zero, zero, jnp.float32(jnp.inf), zero)
    (moved, _, least, best), _ = jax.lax.scan(move, start, jnp.arange(steps))
    return y + step * jnp.where(loss(moved)[0] < least, moved, best)


def _spans(side: int) -> Iterator[Span]:
    """Blocks that cover a side, in positions of z; each may move, and is kept, in one of them."""
    done = 0
    while done < side:
        start = max(min(done - MARGIN, side - BLOCK), 0)
        stop = min(start + BLOCK, side)
        kept_stop = stop if stop == side else stop - MARGIN
        yield Span(start, stop, done, kept_stop)
        done = kept_stop


def _window(rows: Span, columns: Span, unit: int) -> tuple[slice, slice]:
    """The slices of a block in an array of so many elements per position of z."""
    return tuple(slice(unit * span.start, unit * span.stop) for span in (rows, columns))


def _free(rows: Span, columns: Span) -> np.ndarray:
    """1 where y of a block may move, float32."""
    sides = []
    for span in (rows, columns):
        z_positions = np.arange(span.start, span.stop)
        inside = (span.kept_start <= z_positions) & (z_positions < span.kept_stop)
        sides.append(np.repeat(np.float32(inside), Z_STRIDE // Y_STRIDE))
    return np.outer(*sides)


@functools.cache
def _program(
    config: AnyModelConfig, structure: PyTreeDef, shape: tuple[int, ...], steps: int
) -> Callable[..., Any]:
    def build() -> Callable[..., Any]:
        return functools.partial(descend, config, structure, steps)

    return program_store.Program(build, ("refine", repr(config), shape, steps))
