"""The parameters that a configuration stands for: random ones, or their shapes alone."""

import functools

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict
from jax import Array

from diffcomp.architectures.registry import AnyModelConfig, architecture_of
from diffcomp.params import Params


def init_params(config: AnyModelConfig, key: Array) -> Params:
    """Random parameters of the model, by path."""
    half = jnp.full((1,), 0.5)
    x = jnp.zeros((1, 64, 64, 3))
    network = architecture_of(config).network(config)
    # Compiled as one, only the draws are left; else every operation of the networks would be.
    variables = jax.jit(network.init)(key, x, 1 + half, half, half, key)
    return flatten_dict(variables["params"], sep="/")


def param_shapes(config: AnyModelConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """Shape and dtype of every parameter, by path; computes none."""
    return dict(_param_shapes(config))


@functools.cache
def _param_shapes(config: AnyModelConfig) -> dict[str, jax.ShapeDtypeStruct]:
    # Tracing the whole network takes half a second, and many ask.
    return jax.eval_shape(lambda: init_params(config, jax.random.key(0)))
