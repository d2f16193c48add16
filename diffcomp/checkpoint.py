"""Training state on disk: orbax, asynchronous, the newest few kept."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from diffcomp.config import Config
from diffcomp.model import FlatParams
from diffcomp.train_step import TrainState, start_stage

# Orbax reports sizes to JAX by a function that came with JAX 0.6. Keras defines it too, so the lack
# shows only where TensorFlow was not imported first.
if not hasattr(jax.monitoring, "record_scalar"):
    jax.monitoring.record_scalar = lambda *args, **kwargs: None


class Position(NamedTuple):
    """Where in the run a state belongs."""

    stage: int  # index into config.stages
    step: int  # steps done of that stage


class Checkpoints:
    """Saves and restores (position, state) in `directory`/checkpoints.

    Both ways the state is copied: orbax shares memory with JAX's arrays, on the CPU, and the
    training step writes over the state that it is given. (JAX should see that the memory is shared
    and not donate it, but 0.5 does not for programs from the compilation cache.)
    """

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
            state=ocp.args.StandardSave(_copy(state)._asdict()),
            position=ocp.args.JsonSave({"stage": position.stage, "step": position.step}),
        )
        self._manager.save(number, args=args)

    def restore(self, params: FlatParams) -> tuple[Position, TrainState] | None:
        """The newest state, or None; `params`, or what `eval_shape` says of them, gives its form.

        Raises ValueError for a checkpoint that does not fit these or the config's stages.
        """
        number = self._manager.latest_step()
        if number is None:
            return None
        args = ocp.args.Composite(position=ocp.args.JsonRestore())
        position = Position(**self._manager.restore(number, args=args)["position"])
        last = len(self._config.stages) - 1
        if position.stage > last:
            raise ValueError(
                f"checkpoint {number} is of stage {position.stage};"
                f" the config ends at stage {last}."
            )
        stage = self._config.stages[position.stage]
        template = jax.eval_shape(lambda p: start_stage(self._config, stage, p), params)
        template = jax.tree.map(_on_one_device, template._asdict())
        args = ocp.args.Composite(state=ocp.args.StandardRestore(template))
        return position, _copy(TrainState(**self._manager.restore(number, args=args)["state"]))

    def close(self) -> None:
        """Waits until everything is written."""
        self._manager.wait_until_finished()
        self._manager.close()

    def _global_step(self, position: Position) -> int:
        before = sum(stage.steps for stage in self._config.stages[: position.stage])
        return before + position.step


def _copy(state: TrainState) -> TrainState:
    return jax.tree.map(jnp.copy, state)


def _on_one_device(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
