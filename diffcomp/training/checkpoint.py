"""Training state on disk: orbax, asynchronous, the newest and the best few kept.

A checkpoint is a folder named by the steps since the start of the run, with four items: `state`
(step, parameters, average, optimiser), `position`, `config` (JSON of the whole configuration, for
people and for other programs) and `metrics` (the score, if there is one). Nothing of the data needs
to be saved: their batches are a function of the step, so the position is their state too.

With several processes the folder must be one that all of them see. All of them make a `Checkpoints`
and call its methods at the same points; each writes and reads its own part of the arrays.
"""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from diffcomp.config import to_dict
from diffcomp.files.run_folder import writing
from diffcomp.params import Params
from diffcomp.training.checkpoint_reader import DamagedCheckpointError, Form, Position, copy, read
from diffcomp.training.checkpoint_scores import drop_damaged_scores, manager_options, score_of
from diffcomp.training.config import Config
from diffcomp.training.train_state import TrainState

log = logging.getLogger(__name__)

# Orbax reports sizes to JAX by a function that came with JAX 0.6. Keras defines it too, so the lack
# shows only where TensorFlow was not imported first.
if not hasattr(jax.monitoring, "record_scalar"):
    jax.monitoring.record_scalar = lambda *args, **kwargs: None


def on_one_device(form: Any) -> Any:
    """A tree of arrays, or of what `eval_shape` says of them -> its form on one local device."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), form
    )


class Checkpoints:
    """Saves and restores (position, state) in `directory`/checkpoints.

    Kept are the newest `train.keep_checkpoints` and, of those with a score, the `train.keep_best`
    with the lowest.

    Both ways the state is copied: orbax shares memory with JAX's arrays, on the CPU, and the
    training step writes over the state that it is given. (JAX should see that the memory is shared
    and not donate it, but 0.5 does not for programs from the compilation cache.)

    Args:
      directory: a local folder or a bucket, "gs://...", as an `epath.Path` (a `pathlib.Path` is
        always local).
      config: of the run that the checkpoints are of.

    Raises:
      ValueError: `train.keep_checkpoints` is below 1 or `train.keep_best` below 0.
    """

    def __init__(self, directory: epath.Path | Path, config: Config):
        self._config = config
        self._folder = _absolute(epath.Path(directory)) / "checkpoints"
        self._damaged: list[int] = []
        options = manager_options(config.train)
        drop_damaged_scores(self._folder)
        items = ("state", "position", "config")
        self._manager = ocp.CheckpointManager(self._folder, options=options, item_names=items)

    def save(self, position: Position, state: TrainState, score: float | None = None) -> None:
        """Starts to write; returns before all is on disk, and does nothing if it is there already.

        `score` is the validation score, lower is better; None, or not finite, if there is none.
        Checkpoints that `restore` found damaged and passed over are deleted first: they would
        count as newer than this one.

        Raises ValueError if there is a checkpoint of a later step already, and RunFolderError if
        this one or, as it is written meanwhile, the one before cannot be written.
        """
        with writing(f"{self._folder}"):
            self._save(position, state, score)

    def _save(self, position: Position, state: TrainState, score: float | None) -> None:
        while self._damaged:
            self._manager.delete(self._damaged.pop())
        number = self._global_step(position)
        if number in self._manager.all_steps():
            return
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(copy(state._asdict())),
            position=ocp.args.JsonSave(position._asdict()),
            config=ocp.args.JsonSave(to_dict(self._config)),
        )
        # Orbax warns of a checkpoint without any metrics; an empty dict it takes.
        metrics = {} if score is None or not math.isfinite(score) else {"score": float(score)}
        if not self._manager.save(number, args=args, metrics=metrics):
            raise ValueError(
                f"{position} is step {number} of the run, but {self._folder} holds step"
                f" {self._manager.latest_step()}; were stages made shorter?"
            )

    def restore(
        self, template: Callable[[Position], TrainState]
    ) -> tuple[Position, TrainState] | None:
        """The newest state that can be read, or None if there is no checkpoint.

        `template(position)` gives the state's form: a `jax.ShapeDtypeStruct` with a sharding for
        each array. The arrays come back on these, whatever mesh they were saved from.

        A damaged checkpoint is passed over for the one before it, with a warning; nothing is
        deleted yet. One that is whole but does not fit the config is never passed over.

        Raises:
          DamagedCheckpointError: no checkpoint can be read; it is the newest one's error.
          ValueError: the newest checkpoint that can be read is of a stage that the config does not
            have, or of other parameters than the template. So none is used that is older than it,
            whether it would fit or not.
        """
        numbers = sorted(self._manager.all_steps(), reverse=True)
        found = self._first_readable(numbers, lambda position: template(position)._asdict())
        if found is None:
            return None
        number, position, arrays = found
        self._damaged = [n for n in numbers if n > number]
        return position, TrainState(**arrays)

    def restore_average(
        self, params: Params, *, best: bool = False
    ) -> tuple[Position, Params] | None:
        """The weight average alone, on one device of this process: no mesh is needed.

        Of the newest checkpoint or, if `best`, of that with the lowest score; None if there is none
        (that has a score). `params`, or what `eval_shape` says of them, gives its form. Damage and
        misfit are dealt with as by `restore`; next to the best comes the second best.
        """
        numbers = sorted(self._manager.all_steps(), reverse=True)
        if best:
            scores = {n: score_of(self._manager.metrics(n)) for n in numbers}
            numbers = sorted((n for n in numbers if scores[n] < math.inf), key=scores.get)
        form = {"average": on_one_device(dict(params))}
        found = self._first_readable(numbers, lambda _: form)
        return found and (found[1], found[2]["average"])

    def reached_preemption(self, step: int) -> bool:
        """Whether all processes should save and stop now, as one of them was sent SIGTERM.

        Every process calls this at every step; all get True at the same one, a step or more after
        the signal. Always False in a run of one process (without `jax.distributed`).

        Args:
          step: steps since the start of the run, not of the stage. They must increase, and saving
            asks the same question with this count.
        """
        return self._manager.reached_preemption(step)

    def close(self) -> None:
        """Waits until everything is written; raises RunFolderError if it cannot be."""
        with writing(f"{self._folder}"):
            self._manager.wait_until_finished()
            self._manager.close()

    def _global_step(self, position: Position) -> int:
        before = sum(stage.steps for stage in self._config.stages[: position.stage])
        return before + position.step

    def _first_readable(
        self, numbers: list[int], form: Form
    ) -> tuple[int, Position, dict[str, Any]] | None:
        """The first of the checkpoints that is not damaged, with its number."""
        self._manager.wait_until_finished()
        stages = len(self._config.stages)
        errors: list[DamagedCheckpointError] = []
        for number in numbers:
            if errors:
                log.warning("%s; going back to checkpoint %d", errors[-1], number)
            try:
                return number, *read(self._folder / str(number), stages, form)
            except DamagedCheckpointError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return None


def _absolute(path: epath.Path) -> epath.Path:
    # "gs://..." counts as absolute, yet absolute() would put the current folder before it.
    return path if path.is_absolute() else path.absolute()
