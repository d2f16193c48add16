"""Which family of networks a configuration is of, and what follows from a configuration alone."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict
from jax import Array

from diffcomp.architectures.architecture import Architecture
from diffcomp.architectures.base import BASE
from diffcomp.architectures.published import PUBLISHED
from diffcomp.networks.config import ModelConfig
from diffcomp.objectives.config import LossConfig
from diffcomp.params import Params
from diffcomp.published.config import CdcConfig, CdcLossConfig

# A new family is one file beside those of BASE and PUBLISHED, and its name in these three lines.
ARCHITECTURES = {architecture.name: architecture for architecture in (BASE, PUBLISHED)}
AnyModelConfig = ModelConfig | CdcConfig
AnyLossConfig = LossConfig | CdcLossConfig


def architecture_of(config: AnyModelConfig) -> Architecture:
    """The family that a model's configuration is of."""
    return ARCHITECTURES[config.ARCHITECTURE]


def network(config: AnyModelConfig) -> nn.Module:
    """The module of the configuration."""
    return architecture_of(config).network(config)


def init_params(config: AnyModelConfig, key: Array) -> Params:
    """Random parameters of the model, by path."""
    half = jnp.full((1,), 0.5)
    x = jnp.zeros((1, 64, 64, 3))
    variables = network(config).init(key, x, 1 + half, half, half, key)
    return flatten_dict(variables["params"], sep="/")


@functools.cache
def _param_shapes(config: AnyModelConfig) -> dict[str, jax.ShapeDtypeStruct]:
    # Tracing the whole network takes half a second, and every load asks.
    return jax.eval_shape(lambda: init_params(config, jax.random.key(0)))


def param_shapes(config: AnyModelConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """Shape and dtype of every parameter, by path; computes none."""
    return dict(_param_shapes(config))
