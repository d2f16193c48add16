"""The scores of checkpoints, and which checkpoints are kept for the sake of theirs."""

import json
import logging
import math
from collections.abc import Mapping

import jax
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers

from diffcomp.training.config import TrainConfig

log = logging.getLogger(__name__)


class _BestScored(checkpoint_managers.BestN):
    """BestN, which itself keeps even those without a score while there are no more than n."""

    def should_preserve(
        self,
        checkpoints: list[checkpoint_managers.PolicyCheckpointInfo],
        *,
        context: checkpoint_managers.PreservationContext,
    ) -> list[bool]:
        best = super().should_preserve(checkpoints, context=context)
        return [b and bool(c.metrics) for b, c in zip(best, checkpoints, strict=True)]


def manager_options(train: TrainConfig) -> ocp.CheckpointManagerOptions:
    """What makes orbax keep the newest and the best; raises ValueError for impossible numbers."""
    for name, least in (("keep_checkpoints", 1), ("keep_best", 0)):
        value = getattr(train, name)
        if value < least:
            raise ValueError(f"train.{name} is {value}; it must be {least} or more.")
    policies = [
        checkpoint_managers.LatestN(train.keep_checkpoints),
        _BestScored(get_metric_fn=score_of, reverse=True, n=train.keep_best),
    ]
    return ocp.CheckpointManagerOptions(
        preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
        best_fn=score_of,  # without it orbax does not write the metrics
        best_mode="min",
    )


def score_of(metrics: Mapping[str, float] | None) -> float:
    """The score in a checkpoint's metrics, infinite if it has none."""
    return (metrics or {}).get("score", math.inf)


def drop_damaged_scores(folder: epath.Path) -> None:
    """Orbax reads all scores before anything else, and fails at one that was cut short."""
    if jax.process_index() == 0 and folder.exists():
        for step in folder.iterdir():
            file = step / "metrics" / "metrics"
            if step.name.isdigit() and file.exists():
                try:
                    json.loads(file.read_text())
                except ValueError:
                    log.warning("%s cannot be read; the checkpoint counts as without score", file)
                    file.unlink()
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("damaged scores dropped")
