"""The optax chain of a stage: clip, Adam, per-parameter factors, warm-up and cosine decay."""

import optax

from diffcomp.config import StageConfig, TrainConfig
from diffcomp.model import FlatParams


def multiplier(stage: StageConfig, path: str) -> float:
    """Factor on the learning rate of the parameter at `path`: the longest prefix decides.

    0 (frozen) if no prefix of `stage.multipliers` names it.
    """
    prefixes = [p for p in stage.multipliers if path == p or path.startswith(p + "/")]
    return stage.multipliers[max(prefixes, key=len)] if prefixes else 0.0


def trainable_part(stage: StageConfig, params: FlatParams) -> FlatParams:
    """The parameters that the stage trains; raises ValueError for a prefix that names none."""
    for prefix in stage.multipliers:
        if not any(path == prefix or path.startswith(prefix + "/") for path in params):
            raise ValueError(f"stage {stage.name!r} trains {prefix!r}, which names no parameter.")
    return {path: value for path, value in params.items() if multiplier(stage, path) > 0}


def learning_rate(stage: StageConfig) -> optax.Schedule:
    """Linear warm-up from 0, then a cosine down to final_rate * learning_rate."""
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=stage.learning_rate,
        warmup_steps=stage.warmup,
        decay_steps=max(stage.steps, stage.warmup + 1),
        end_value=stage.final_rate * stage.learning_rate,
    )


def make_optimizer(train: TrainConfig, stage: StageConfig) -> optax.GradientTransformation:
    """For the flat dict of the stage's trainable parameters."""

    def scale_each(updates: FlatParams, params: FlatParams | None = None) -> FlatParams:
        del params
        return {path: value * multiplier(stage, path) for path, value in updates.items()}

    return optax.chain(
        optax.clip_by_global_norm(train.clip_norm),
        optax.scale_by_adam(b2=train.adam_b2),
        optax.stateless(scale_each),
        optax.scale_by_learning_rate(learning_rate(stage)),
    )
