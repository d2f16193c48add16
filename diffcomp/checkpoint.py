"""Training state on disk: orbax, asynchronous, the newest few kept."""

from pathlib import Path
from typing import NamedTuple

import jax
import orbax.checkpoint as ocp

from diffcomp.config import Config
from diffcomp.train_step import TrainState, start_stage


class Position(NamedTuple):
    """Where in the run a state belongs."""

    stage: int  # index into config.stages
    step: int  # steps done of that stage


class Checkpoints:
    """Saves and restores (position, state) in `directory`/checkpoints."""

    def __init__(self, directory: Path, config: Config):
        self._config = config
        options = ocp.CheckpointManagerOptions(max_to_keep=config.train.keep_checkpoints)
        self._manager = ocp.CheckpointManager(
            (directory / "checkpoints").absolute(),
            options=options,
            item_names=("state", "position"),
        )

    def save(self, position: Position, state: TrainState) -> None:
        """Starts to write; returns before all is on disk."""
        number = self._global_step(position)
        if number in self._manager.all_steps():
            return
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(state._asdict()),
            position=ocp.args.JsonSave({"stage": position.stage, "step": position.step}),
        )
        self._manager.save(number, args=args)

    def restore(self, params: dict[str, jax.Array]) -> tuple[Position, TrainState] | None:
        """The newest state, or None; `params` gives names, shapes and types."""
        number = self._manager.latest_step()
        if number is None:
            return None
        args = ocp.args.Composite(position=ocp.args.JsonRestore())
        position = Position(**self._manager.restore(number, args=args)["position"])
        stage = self._config.stages[position.stage]
        template = jax.eval_shape(lambda: start_stage(self._config, stage, params))
        template = jax.tree.map(_on_one_device, template._asdict())
        args = ocp.args.Composite(state=ocp.args.StandardRestore(template))
        return position, TrainState(**self._manager.restore(number, args=args)["state"])

    def close(self) -> None:
        """Waits until everything is written."""
        self._manager.wait_until_finished()
        self._manager.close()

    def _global_step(self, position: Position) -> int:
        before = sum(stage.steps for stage in self._config.stages[: position.stage])
        return before + position.step


def _on_one_device(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
