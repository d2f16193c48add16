"""All that codec, export, training and profiling need to know of a family of networks."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from diffcomp.coding.latent_coder import LatentCoder
from diffcomp.diffusion.noise_schedule import SampleGrid
from diffcomp.objectives.objective import Loss
from diffcomp.params import Params


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One family. A model's configuration names it by its class attribute ARCHITECTURE.

    The network is a Flax module with the methods of `networks.model.CompressionModel`: encode,
    rate, noisy_rate, decode_context, denoise, and `__call__`, which touches every parameter.
    """

    name: str
    network: Callable[[Any], nn.Module]  # of a model's configuration
    # Sides of images that the networks are given, from those of a picture: multiples of 64.
    padded_side: Callable[[int], int]
    one_rate: bool  # whether a set of weights has one rate, and no realism knob
    # The noise levels that a decode visits, of the configuration and the number of steps.
    sample_grid: Callable[[Any, int], SampleGrid]

    # The coding part: its class, and how its integers follow from the parameters.
    coder: type[LatentCoder]
    derive_coder: Callable[[Any, Params], LatentCoder]
    coded: tuple[str, ...]  # prefixes of the parameters that it is derived from
    coded_layers: tuple[str, ...]  # starts of the paths of which only the integers are kept
    float_twin: Callable[[Any], Params]  # of a coder: parameters equal to the integers kept

    # Training. An objective is (Objective, params, x, conditions) -> Loss; the conditions are drawn
    # by (model configuration, loss configuration, x, key, step).
    objectives: Mapping[str, Callable[..., Loss]]
    perceptual: Callable[[str, Any], bool]  # of objective and loss: whether LPIPS counts
    draw: Callable[..., Any]
    # (mean, covariance of patches, model, loss) -> parameters of a linear codec; None: random ones.
    linear_codec: Callable[[np.ndarray, np.ndarray, Any, Any], Params] | None
    # (loss configuration, quality, bpp, mse, lpips) of a decoded file -> score, less is better.
    file_score: Callable[[Any, float | None, float, float, float], float]

    # Prefixes of parameters: those that never leave float32, those whose gradient has a loss of its
    # own and is left out of the clipping, and those of each part that is timed.
    float32: tuple[str, ...]
    unclipped: tuple[str, ...]
    encoder: tuple[str, ...]
    hyper: tuple[str, ...]
    context: tuple[str, ...]
    score: tuple[str, ...]
