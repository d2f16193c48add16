"""The optax chain of a stage: clip, Adam, per-parameter factors, and a schedule of the rate."""

import jax.numpy as jnp
import optax

from diffcomp.params import Params, under
from diffcomp.training.config import StageConfig, TrainConfig


def multiplier(stage: StageConfig, path: str) -> float:
    """Factor on the learning rate of the parameter at `path`: the longest prefix decides.

    0 (frozen) if no prefix of `stage.multipliers` names it.
    """
    prefixes = [prefix for prefix in stage.multipliers if under(path, (prefix,))]
    return stage.multipliers[max(prefixes, key=len)] if prefixes else 0.0


def trainable_part(stage: StageConfig, params: Params) -> Params:
    """The parameters that the stage trains; raises ValueError for a prefix that names none."""
    for prefix in stage.multipliers:
        if not any(under(path, (prefix,)) for path in params):
            raise ValueError(f"stage {stage.name!r} trains {prefix!r}, which names no parameter.")
    return {path: value for path, value in params.items() if multiplier(stage, path) > 0}


def learning_rate(stage: StageConfig) -> optax.Schedule:
    """Linear warm-up from 0 to `learning_rate`, then down to final_rate times that.

    "cosine" gets there at the stage's end. "stairs" multiplies the rate by `stair_factor` every
    `stair_steps` steps and stays where it gets there: the published recipe.
    """
    lowest = stage.final_rate * stage.learning_rate
    if stage.schedule == "cosine":
        return optax.warmup_cosine_decay_schedule(
            init_value=0.0,
            peak_value=stage.learning_rate,
            warmup_steps=stage.warmup,
            decay_steps=max(stage.steps, stage.warmup + 1),
            end_value=lowest,
        )
    stairs = optax.exponential_decay(
        stage.learning_rate, stage.stair_steps, stage.stair_factor, staircase=True, end_value=lowest
    )
    rise = optax.linear_schedule(0.0, stage.learning_rate, max(stage.warmup, 1))
    return lambda step: jnp.where(step < stage.warmup, rise(step), stairs(step))


def make_optimizer(
    train: TrainConfig, stage: StageConfig, unclipped: tuple[str, ...]
) -> optax.GradientTransformation:
    """For the flat dict of the stage's trainable parameters.

    The clipping leaves out the parameters under the prefixes `unclipped`: they have a loss of their
    own, whose gradient says nothing of the others' size.
    """

    def scale_each(updates: Params, params: Params | None = None) -> Params:
        del params
        return {path: value * multiplier(stage, path) for path, value in updates.items()}

    clip = optax.clip_by_global_norm(train.clip_norm)
    return optax.chain(
        optax.masked(clip, lambda params: {path: not under(path, unclipped) for path in params}),
        optax.scale_by_adam(b2=train.adam_b2),
        optax.stateless(scale_each),
        optax.scale_by_learning_rate(learning_rate(stage)),
    )
