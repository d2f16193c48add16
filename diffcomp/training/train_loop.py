"""Training from images to a fitted model, stage by stage; stop and resume at any time."""

import json
import logging
import math
import signal
import time
from collections.abc import Iterator
from contextlib import closing

import jax
import numpy as np
from etils import epath

from diffcomp.architectures.parameters import param_shapes
from diffcomp.config import to_dict
from diffcomp.data.crop_slots import CropSlots
from diffcomp.data.input_pipeline import CropDataset, WaitTimer
from diffcomp.files.run_folder import replace_bytes
from diffcomp.params import Params
from diffcomp.training import metric_writers, run_metrics, sharding
from diffcomp.training.checkpoint import Checkpoints, Position
from diffcomp.training.config import Config, StageConfig
from diffcomp.training.initial_params import initial_params
from diffcomp.training.profile import Profile
from diffcomp.training.train_state import TrainState, start_stage_on, state_form
from diffcomp.training.train_step import make_train_step
from diffcomp.training.validation import Validation

log = logging.getLogger(__name__)


def train(config: Config, workdir: epath.PathLike) -> TrainState:
    """Runs (or goes on with) all stages; returns the last state.

    Every process of a run calls it. Writes checkpoints, TensorBoard events, `metrics.csv`,
    `validation.csv`, panels and `config.json` to `workdir`, a local or gs:// path. SIGTERM saves
    and returns early; calling again with the same workdir continues. Raises FloatingPointError,
    naming metric and step, when a metric is not finite, and ValueError for training data, a mesh
    or a checkpoint that do not fit the config.
    """
    workdir = epath.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    run = _Run(config, workdir)
    try:
        return run.stages()
    finally:
        run.close()


def restore_average(
    config: Config, workdir: epath.PathLike, *, best: bool = False
) -> tuple[Position, Params]:
    """The weight average of the newest checkpoint, and where in the run it belongs.

    If `best`, of the one with the best validation score instead. Raises FileNotFoundError if there
    is none, and what `Checkpoints.restore` raises.
    """
    with closing(Checkpoints(epath.Path(workdir), config)) as checkpoints:
        restored = checkpoints.restore_average(param_shapes(config.model), best=best)
    if restored is None:
        kind = "checkpoint with a validation score" if best else "checkpoint"
        raise FileNotFoundError(f"{workdir} holds no {kind}.")
    return restored


class _Run:
    """What lives as long as the run: mesh, data, checkpoints, writers, and whether to stop."""

    def __init__(self, config: Config, workdir: epath.Path):
        self.config = config
        self._workdir = workdir
        self._mesh = sharding.make_mesh(config.mesh)
        for stage in config.stages:
            # Whatever does not fit a late stage is said now, not when its turn comes.
            sharding.check_batch(self._mesh, stage.batch, stage.accumulate)
            state_form(config, stage, self._mesh)
        self._slots = CropSlots(config.data)
        self._validation = Validation(config, workdir) if jax.process_index() == 0 else None
        self._checkpoints = Checkpoints(workdir, config)
        self._writer = metric_writers.make_writer(workdir)
        self._stop_requested = False
        self._saved = time.monotonic()
        # Of several processes some may see the signal a step later: there JAX makes them agree.
        self._old_handler = None
        if jax.process_count() == 1:
            self._old_handler = signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, *_: object) -> None:
        self._stop_requested = True

    def _must_stop(self, step: int) -> bool:
        self._stop_requested |= self._checkpoints.reached_preemption(step)
        return self._stop_requested

    def _checkpoint_due(self, done: int) -> bool:
        """By the clock; of several processes, by the first one's at each log line."""
        if jax.process_count() > 1 and done % self.config.train.log_every:
            return False
        minutes = (time.monotonic() - self._saved) / 60
        due = sharding.agreed(minutes) >= self.config.train.checkpoint_minutes
        if due:
            self._saved = time.monotonic()
        return due

    def close(self) -> None:
        if self._old_handler is not None:
            signal.signal(signal.SIGTERM, self._old_handler)
        self._checkpoints.close()
        self._writer.close()

    def stages(self) -> TrainState:
        stages = self.config.stages
        restored = self._checkpoints.restore(
            lambda position: state_form(self.config, stages[position.stage], self._mesh)
        )
        if restored is None:
            position = Position(stage=0, step=0)
            state = self._start(position, initial_params(self.config, self._mesh, self._slots))
        else:
            position, state = restored
            log.info("continuing at step %d of stage %d", position.step, position.stage)
        # Only now: a config that does not fit the checkpoint must not replace the one that does.
        if jax.process_index() == 0:
            text = json.dumps(to_dict(self.config), indent=1) + "\n"
            replace_bytes(self._workdir / "config.json", text.encode())
        while True:
            state = self._stage(position, state)
            if position.stage == len(stages) - 1 or self._stop_requested:
                return state
            position = Position(position.stage + 1, 0)
            # The average is what the stage has learned; the last parameters still carry its noise.
            state = self._start(position, state.average)

    def _start(self, position: Position, params: Params) -> TrainState:
        return start_stage_on(self._mesh, self.config, self.config.stages[position.stage], params)

    def _stage(self, position: Position, state: TrainState) -> TrainState:
        stage, train = self.config.stages[position.stage], self.config.train
        before = sum(s.steps for s in self.config.stages[: position.stage])
        step_fn = make_train_step(self.config, stage, position.stage, self._mesh)
        data = WaitTimer(self._batches(position, stage))
        window, profile = run_metrics.Window(stage, data), Profile(train, self._workdir)
        try:
            for step in range(position.step, stage.steps):
                # Order: train, log, validate, save. A checkpoint of n holds exactly n steps, and
                # the data are a function of the step, so a resumed run sees what this one would
                # have seen.
                done, total = step + 1, before + step + 1
                batch = sharding.global_batch(self._mesh, next(data))
                with profile.of_step(total):
                    state, metrics = step_fn(state, batch)
                window.add(metrics)
                last = done == stage.steps
                if done % train.log_every == 0 or last:
                    means = window.close(done, len(self._slots.skipped))
                    named = {f"{stage.name}/{name}": value for name, value in means.items()}
                    self._writer.write_scalars(total, named)
                validated = done % train.validate_every == 0 or last
                score = self._validate(total, state) if validated else None
                stop = self._must_stop(total)
                if stop or validated or self._checkpoint_due(done):
                    window.means(done)
                    self._checkpoints.save(Position(position.stage, done), state, score)
                if stop:
                    log.info("stopping at step %d of stage %s", done, stage.name)
                    break
        finally:
            data.close()
            profile.close()
        return state

    def _validate(self, total: int, state: TrainState) -> float | None:
        """The score, the same in all processes; the first one measures it."""
        average, score = sharding.gathered(self._mesh, state.average), None
        if self._validation is not None:
            score = self._validation.run(total, average, self._writer)
        score = sharding.agreed(math.nan if score is None else score)
        return None if math.isnan(score) else score

    def _batches(self, position: Position, stage: StageConfig) -> Iterator[np.ndarray]:
        dataset = CropDataset(
            self._slots,
            side=stage.crop,
            batch=stage.batch,
            seed=self.config.data.seed + position.stage,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        return dataset.batches(position.step)
