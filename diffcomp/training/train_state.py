"""The state of training: what a step changes and a checkpoint holds."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh

from diffcomp.architectures.parameters import param_shapes
from diffcomp.architectures.registry import architecture_of
from diffcomp.params import Params
from diffcomp.training import sharding
from diffcomp.training.config import Config, StageConfig
from diffcomp.training.optimizer import make_optimizer, trainable_part


class TrainState(NamedTuple):
    step: Array  # [], steps of this stage
    params: Params
    average: Params  # exponential moving average of params
    optimizer: Any  # optax state of the trainable parameters


def start_stage(config: Config, stage: StageConfig, params: Params) -> TrainState:
    """A new stage's state: step 0, fresh optimiser, average equal to the parameters."""
    optimizer = make_optimizer(config.train, stage, architecture_of(config.model).unclipped)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        average=jax.tree.map(jnp.copy, params),
        optimizer=optimizer.init(trainable_part(stage, params)),
    )


def start_stage_on(mesh: Mesh, config: Config, stage: StageConfig, params: Params) -> TrainState:
    """The same, made on the mesh and shared out by the rules of `sharding`."""
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state_form(config, stage, mesh))
    start = jax.jit(lambda params: start_stage(config, stage, params), out_shardings=shardings)
    return start(params)


def state_form(config: Config, stage: StageConfig, mesh: Mesh) -> TrainState:
    """The form of a stage's state, `jax.ShapeDtypeStruct` leaves with shardings."""
    shapes = param_shapes(config.model)
    form = jax.eval_shape(lambda params: start_stage(config, stage, params), shapes)
    return sharding.with_shardings(mesh, form)
