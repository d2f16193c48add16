"""The state of training and one pure step of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from diffcomp.config import Config, StageConfig
from diffcomp.losses import OBJECTIVES, Metrics, Objective, draw_conditions
from diffcomp.model import FlatParams
from diffcomp.optimizer import learning_rate, make_optimizer, trainable_part
from diffcomp.perceptual import load_lpips
from diffcomp.pixels import to_float


class TrainState(NamedTuple):
    step: Array  # [], steps of this stage
    params: FlatParams
    average: FlatParams  # exponential moving average of params
    optimizer: Any  # optax state of the trainable parameters


TrainStep = Callable[[TrainState, Array], tuple[TrainState, Metrics]]


def start_stage(config: Config, stage: StageConfig, params: FlatParams) -> TrainState:
    """A new stage's state: step 0, fresh optimiser, average equal to the parameters."""
    optimizer = make_optimizer(config.train, stage)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        average=jax.tree.map(jnp.copy, params),
        optimizer=optimizer.init(trainable_part(stage, params)),
    )


def make_train_step(config: Config, stage: StageConfig, stage_index: int) -> TrainStep:
    """A jitted (state, uint8 [B, H, W, 3]) -> (state, metrics); the old state is donated.

    Randomness is a function of (seed, stage, step) alone, so a resumed run repeats exactly.
    Raises ValueError for an objective that does not exist.
    """
    if stage.objective not in OBJECTIVES:
        raise ValueError(
            f"objective is {stage.objective!r}; it must be one of {', '.join(OBJECTIVES)}."
        )
    perceptual = stage.objective in ("decoder", "joint")
    lpips_weights = load_lpips(config.loss.lpips_net) if perceptual else None
    objective = Objective(config.model, config.loss, lpips_weights)
    optimizer = make_optimizer(config.train, stage)
    schedule = learning_rate(stage)
    stage_key = jax.random.fold_in(jax.random.key(config.train.seed), stage_index)

    def train_step(state: TrainState, batch: Array) -> tuple[TrainState, Metrics]:
        x = to_float(batch)
        conditions = draw_conditions(config.loss, x, jax.random.fold_in(stage_key, state.step))
        trainable = trainable_part(stage, state.params)

        def loss_fn(part: FlatParams) -> tuple[Array, Metrics]:
            params = {**state.params, **part}
            return OBJECTIVES[stage.objective](objective, params, x, conditions)

        (loss, metrics), gradients = jax.value_and_grad(loss_fn, has_aux=True)(trainable)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, trainable)
        params = {**state.params, **optax.apply_updates(trainable, updates)}
        metrics |= {
            "loss": loss,
            "gradient_norm": optax.tree.norm(gradients),
            "learning_rate": schedule(state.step),
        }
        average = _update_average(config.train.average_decay, state, params, trainable)
        return TrainState(state.step + 1, params, average, optimizer_state), metrics

    return jax.jit(train_step, donate_argnums=0)


def _update_average(
    decay: float, state: TrainState, params: FlatParams, trainable: FlatParams
) -> FlatParams:
    """The average follows quickly at first: its decay at step n is at most (1 + n) / (10 + n)."""
    decay = jnp.minimum(decay, (1.0 + state.step) / (10.0 + state.step))
    moved = {p: decay * state.average[p] + (1 - decay) * params[p] for p in trainable}
    return {**state.average, **moved}
