"""One pure step of training, compiled for a mesh of devices."""

import logging
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh

from diffcomp.architectures.registry import architecture_of
from diffcomp.distances.dists import DistsWeights, load_dists
from diffcomp.distances.lpips_weights import LpipsWeights, load_lpips
from diffcomp.networks.precision import layers_follow_params
from diffcomp.objectives.objective import Loss, Metrics, Objective
from diffcomp.params import Params
from diffcomp.pixels import to_float
from diffcomp.training import sharding
from diffcomp.training.config import Config, StageConfig, TrainConfig
from diffcomp.training.optimizer import learning_rate, make_optimizer, trainable_part
from diffcomp.training.train_state import TrainState, state_form

log = logging.getLogger(__name__)


class PerceptualWeights(NamedTuple):
    lpips: LpipsWeights | None
    lpips_vgg: LpipsWeights | None
    dists: DistsWeights | None


TrainStep = Callable[[TrainState, Array], tuple[TrainState, Metrics]]


def make_train_step(config: Config, stage: StageConfig, stage_index: int, mesh: Mesh) -> TrainStep:
    """A jitted (state, uint8 [B, H, W, 3]) -> (state, metrics); the old state is donated.

    The state is shared out over the mesh by the rules of `sharding`, the batch by its rows.
    Randomness is a function of (seed, stage, step) alone, so a resumed run repeats exactly, on
    any mesh. Raises ValueError for a batch that the mesh does not divide.
    """
    sharding.check_batch(mesh, stage.batch, stage.accumulate)
    architecture = architecture_of(config.model)
    optimizer = make_optimizer(config.train, stage, architecture.unclipped)
    schedule = learning_rate(stage)
    stage_key = jax.random.fold_in(jax.random.key(config.train.seed), stage_index)

    def train_step(
        state: TrainState, batch: Array, weights: PerceptualWeights
    ) -> tuple[TrainState, Metrics]:
        log.info("compiling the step of stage %s for batches %s", stage.name, batch.shape)
        objective = Objective(
            network=architecture.network(config.model),
            loss=config.loss,
            float32=architecture.float32,
            compute_dtype=config.train.compute_dtype,
            lpips_weights=weights.lpips,
            lpips_vgg_weights=weights.lpips_vgg,
            dists_weights=weights.dists,
            vgg_images=stage.vgg_images,
            vgg_side=stage.vgg_side,
        )
        trainable = trainable_part(stage, state.params)
        key = jax.random.fold_in(stage_key, state.step)

        def loss_fn(part: Params, rows: Array, number: Array) -> Loss:
            x, part_key = to_float(rows), jax.random.fold_in(key, number)
            conditions = architecture.draw(config.model, config.loss, x, part_key, state.step)
            params = {**state.params, **part}
            precision = jax.default_matmul_precision(config.train.matmul_precision)
            with precision, layers_follow_params():
                return architecture.objectives[stage.objective](objective, params, x, conditions)

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
    if not architecture_of(config.model).perceptual(stage.objective, config.loss):
        return PerceptualWeights(None, None, None)
    loss, by_vgg = config.loss, stage.vgg_images > 0
    weights = PerceptualWeights(
        lpips=load_lpips(loss.lpips_net),
        lpips_vgg=load_lpips("vgg") if by_vgg and loss.lpips_vgg_scale else None,
        dists=load_dists() if by_vgg else None,
    )
    whole = sharding.replicated(mesh)
    return jax.tree.map(
        lambda leaf: jax.make_array_from_callback(leaf.shape, whole, lambda index: leaf[index]),
        weights,
    )


def _mean_gradients(
    loss_fn: Callable, trainable: Params, batch: Array, count: int
) -> tuple[Params, Metrics]:
    """Gradients and metrics, the loss among them, averaged over `count` micro-batches in a row.

    Micro-batch m has the rows m, m + count, ...: so each device already holds its part of it.
    """
    batch = batch.reshape(-1, count, *batch.shape[1:]).swapaxes(0, 1)
    value_and_grad = jax.value_and_grad(loss_fn, has_aux=True)

    def one(number: Array) -> tuple[Params, Metrics]:
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
    train: TrainConfig, state: TrainState, params: Params, trainable: Params
) -> Params:
    """Every `average_every` steps; quickly at first: decay <= 1 - (1 + n)^-power at update n."""
    n = (state.step + 1) // train.average_every
    decay = jnp.minimum(train.average_decay, 1 - (1.0 + n) ** -train.average_power)
    decay = jnp.where((state.step + 1) % train.average_every == 0, decay, 1.0)
    moved = {p: decay * state.average[p] + (1 - decay) * params[p] for p in trainable}
    return {**state.average, **moved}
