"""The state of training and one pure step of it, compiled for a mesh of devices."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh

from diffcomp.config import Config, StageConfig, TrainConfig
from diffcomp.distances.dists import DistsWeights, load_dists
from diffcomp.distances.lpips import LpipsWeights, load_lpips
from diffcomp.networks.model import FlatParams, param_shapes
from diffcomp.networks.pixels import to_float
from diffcomp.published.config import CdcConfig
from diffcomp.training import sharding
from diffcomp.training.losses import (
    Metrics,
    Objective,
    context_objective,
    decoder_objective,
    draw_conditions,
    joint_objective,
    linear_objective,
)
from diffcomp.training.optimizer import learning_rate, make_optimizer, trainable_part
from diffcomp.training.published_loss import draw_cdc_conditions, published_objective

log = logging.getLogger(__name__)

OBJECTIVES: dict[str, Callable[..., tuple[Array, Metrics]]] = {
    "linear": linear_objective,
    "context": context_objective,
    "decoder": decoder_objective,
    "joint": joint_objective,
    "published": published_objective,
}
PERCEPTUAL = ("decoder", "joint", "published")


class TrainState(NamedTuple):
    step: Array  # [], steps of this stage
    params: FlatParams
    average: FlatParams  # exponential moving average of params
    optimizer: Any  # optax state of the trainable parameters


class PerceptualWeights(NamedTuple):
    lpips: LpipsWeights | None
    dists: DistsWeights | None


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


def start_stage_on(
    mesh: Mesh, config: Config, stage: StageConfig, params: FlatParams
) -> TrainState:
    """The same, made on the mesh and shared out by the rules of `sharding`."""
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state_form(config, stage, mesh))
    start = jax.jit(lambda params: start_stage(config, stage, params), out_shardings=shardings)
    return start(params)


def state_form(config: Config, stage: StageConfig, mesh: Mesh) -> TrainState:
    """The form of a stage's state, `jax.ShapeDtypeStruct` leaves with shardings."""
    shapes = param_shapes(config.model)
    form = jax.eval_shape(lambda params: start_stage(config, stage, params), shapes)
    return sharding.with_shardings(mesh, form)


def make_train_step(config: Config, stage: StageConfig, stage_index: int, mesh: Mesh) -> TrainStep:
    """A jitted (state, uint8 [B, H, W, 3]) -> (state, metrics); the old state is donated.

    The state is shared out over the mesh by the rules of `sharding`, the batch by its rows.
    Randomness is a function of (seed, stage, step) alone, so a resumed run repeats exactly, on
    any mesh. Raises ValueError for an objective that does not exist, and for a batch that the
    mesh does not divide.
    """
    if stage.objective not in OBJECTIVES:
        raise ValueError(
            f"objective is {stage.objective!r}; it must be one of {', '.join(OBJECTIVES)}."
        )
    sharding.check_batch(mesh, stage.batch, stage.accumulate)
    optimizer = make_optimizer(config.train, stage)
    schedule = learning_rate(stage)
    stage_key = jax.random.fold_in(jax.random.key(config.train.seed), stage_index)

    def train_step(
        state: TrainState, batch: Array, weights: PerceptualWeights
    ) -> tuple[TrainState, Metrics]:
        log.info("compiling the step of stage %s for batches %s", stage.name, batch.shape)
        objective = Objective(
            model=config.model,
            loss=config.loss,
            lpips_weights=weights.lpips,
            compute_dtype=config.train.compute_dtype,
            dists_weights=weights.dists,
            dists_images=stage.dists_images,
        )
        trainable = trainable_part(stage, state.params)
        key = jax.random.fold_in(stage_key, state.step)

        def loss_fn(part: FlatParams, rows: Array, number: Array) -> tuple[Array, Metrics]:
            x = to_float(rows)
            conditions = _draw(config, x, jax.random.fold_in(key, number), state.step)
            params = {**state.params, **part}
            return OBJECTIVES[stage.objective](objective, params, x, conditions)

        gradients, metrics = _mean_gradients(loss_fn, trainable, batch, stage.accumulate)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, trainable)
        params = {**state.params, **optax.apply_updates(trainable, updates)}
        metrics |= {
            "gradient_norm": optax.tree.norm(gradients),
            "learning_rate": schedule(state.step),
        }
        average = _update_average(config.train, state, params, trainable)
        return TrainState(state.step + 1, params, average, optimizer_state), metrics

    states = jax.tree.map(lambda leaf: leaf.sharding, state_form(config, stage, mesh))
    whole = sharding.replicated(mesh)
    jitted = jax.jit(
        train_step,
        in_shardings=(states, sharding.batch_sharding(mesh), whole),
        out_shardings=(states, whole),
        donate_argnums=0,
    )
    # An argument, not part of the program: XLA would spend minutes on folding such constants.
    weights = _perceptual_weights(config, stage, mesh)
    return lambda state, batch: jitted(state, batch, weights)


def _perceptual_weights(config: Config, stage: StageConfig, mesh: Mesh) -> PerceptualWeights:
    """Those that the stage's loss needs, on every device."""
    # The published loss may have no perceptual part.
    if stage.objective not in PERCEPTUAL or getattr(config.loss, "rho", 1) == 0:
        return PerceptualWeights(None, None)
    weights = PerceptualWeights(
        lpips=load_lpips(config.loss.lpips_net), dists=load_dists() if stage.dists_images else None
    )
    whole = sharding.replicated(mesh)
    return jax.tree.map(
        lambda leaf: jax.make_array_from_callback(leaf.shape, whole, lambda index: leaf[index]),
        weights,
    )


def _draw(config: Config, x: Array, key: Array, step: Array) -> NamedTuple:
    if isinstance(config.model, CdcConfig):
        return draw_cdc_conditions(config.model, config.loss, x, key, step)
    return draw_conditions(config.loss, x, key)


def _mean_gradients(
    loss_fn: Callable, trainable: FlatParams, batch: Array, count: int
) -> tuple[FlatParams, Metrics]:
    """Gradients and metrics, the loss among them, averaged over `count` micro-batches in a row.

    Micro-batch m has the rows m, m + count, ...: every device finds its part of it at home.
    """
    batch = batch.reshape(-1, count, *batch.shape[1:]).swapaxes(0, 1)
    value_and_grad = jax.value_and_grad(loss_fn, has_aux=True)

    def one(number: Array) -> tuple[FlatParams, Metrics]:
        (loss, metrics), gradients = value_and_grad(trainable, batch[number], number)
        return gradients, metrics | {"loss": loss}

    if count == 1:
        return one(jnp.int32(0))

    def add(total: tuple, number: Array) -> tuple[tuple, None]:
        return jax.tree.map(jnp.add, total, one(number)), None

    start = jax.tree.map(lambda form: jnp.zeros(form.shape, form.dtype), jax.eval_shape(one, 0))
    total, _ = jax.lax.scan(add, start, jnp.arange(count))
    return jax.tree.map(lambda value: value / count, total)


def _update_average(
    train: TrainConfig, state: TrainState, params: FlatParams, trainable: FlatParams
) -> FlatParams:
    """Every `average_every` steps; quickly at first: decay <= 1 - (1 + n)^-power at update n."""
    n = (state.step + 1) // train.average_every
    decay = jnp.minimum(train.average_decay, 1 - (1.0 + n) ** -train.average_power)
    decay = jnp.where((state.step + 1) % train.average_every == 0, decay, 1.0)
    moved = {p: decay * state.average[p] + (1 - decay) * params[p] for p in trainable}
    return {**state.average, **moved}
