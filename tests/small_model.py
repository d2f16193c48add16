"""A model of a few channels and what the tests of its parts share. All widths differ on purpose."""

import jax
import numpy as np
from jax import Array

from diffcomp.architectures.parameters import param_shapes
from diffcomp.architectures.registry import AnyModelConfig
from diffcomp.networks.config import ModelConfig
from diffcomp.objectives.config import LossConfig
from diffcomp.published.config import CdcLossConfig

MODEL = ModelConfig(
    latent_channels=12,
    group_starts=(0, 5),
    group_passes=(4, 2),
    hyper_channels=5,
    coding_width=8,
    widths=(4, 6, 8),
    encoder_depths=(1, 1, 1),
    context_depths=(1, 1, 1),
    score_depths=(1, 1, 1),
    condition_width=7,
    quality_knots=8,
    base_error=0.1,
)
LOSS = LossConfig(
    lmbda_low=0.0002,
    lmbda_high=0.02,
    lpips_net="alex",
    lpips_scale=175.0,
    lpips_vgg_scale=0.0,
    dists_scale=150.0,
    grid_scale=20.0,
    box_scales=(0.0, 0.0),
    structure_scale=0.0,
    rho_max=0.9,
    realism_range=(-0.5, 1.75),
    start_share=0.25,
    gamma_range=(-1.0, 1.0),
    balance=0.5,
    base_weight=0.3,
    snr_weights=(1.0, 5.0),
)
CDC_LOSS = CdcLossConfig(
    lmbda=0.05,
    warmup_lmbda=0.01,
    warmup_steps=0,
    rho=0.9,
    lpips_net="vgg",
    error="squared",
    largest_weight=0.0,
)


def random_params(config: AnyModelConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """Parameters by path, all of NumPy's random numbers of deviation 0.1: float32.

    `init_params` compiles a program for each of its draws, which takes longer than most tests.
    """
    shapes = param_shapes(config)
    rng = np.random.default_rng(seed)
    return {path: rng.normal(0, 0.1, shapes[path].shape).astype("f4") for path in sorted(shapes)}


def normal(seed: int, shape: tuple[int, ...]) -> Array:
    return jax.random.normal(jax.random.key(seed), shape)


def perturbed(variables: dict, seed: int = 9) -> dict:
    """The same variables with noise on every leaf, so that nothing is zero any more."""
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    moved = [v + 0.1 * jax.random.normal(k, v.shape) for k, v in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(tree, moved)
