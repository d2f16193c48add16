"""Training from photographs to a fitted model, stage by stage; stop and resume at any time."""

import csv
import json
import logging
import math
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np
from clu import metric_writers

from diffcomp import karhunen_loeve
from diffcomp.checkpoint import Checkpoints, Position
from diffcomp.config import Config, StageConfig, to_dict
from diffcomp.crop_slots import CropSlots
from diffcomp.input_pipeline import CropDataset
from diffcomp.model import FlatParams, init_params, param_shapes
from diffcomp.pixels import to_float
from diffcomp.train_step import TrainState, make_train_step, start_stage
from diffcomp.validation import Validation

log = logging.getLogger(__name__)


def train(config: Config, workdir: Path) -> TrainState:
    """Runs (or goes on with) all stages; returns the last state.

    Writes checkpoints, TensorBoard events, `metrics.csv`, `validation.csv`, `panels` and
    `config.json` to `workdir`. SIGTERM saves and returns early; calling again with the same workdir
    continues. Raises FloatingPointError, naming metric and step, when a metric is not finite, and
    ValueError for training data or a checkpoint that do not fit the config.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    run = _Run(config, workdir)
    try:
        return run.stages()
    finally:
        run.close()


def restore_average(config: Config, workdir: Path) -> tuple[Position, FlatParams]:
    """The weight average of the newest checkpoint, and where in the run it belongs.

    Raises FileNotFoundError if there is no checkpoint.
    """
    checkpoints = Checkpoints(workdir, config)
    restored = checkpoints.restore(param_shapes(config.model))
    checkpoints.close()
    if restored is None:
        raise FileNotFoundError(f"{workdir} holds no checkpoint.")
    return restored[0], restored[1].average


class CsvWriter(metric_writers.MultiWriter):
    """Appends scalars to a CSV file, one a row: step, stage, name, value; drops all else.

    A scalar is called "stage/name"; the stage of validation is "validation". Steps repeated after
    a crash are repeated here: the later row holds.
    """

    def __init__(self, path: Path):
        super().__init__([])
        self._path = path

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        new = not self._path.exists()
        with self._path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(("step", "stage", "name", "value"))
            for name, value in scalars.items():
                writer.writerow((step, *name.split("/", maxsplit=1), f"{value:.6g}"))


class _Run:
    """What lives as long as the run: data, checkpoints, writers, and the wish to stop."""

    def __init__(self, config: Config, workdir: Path):
        self.config = config
        self._workdir = workdir
        self.slots = CropSlots(config.data)
        self.validation = Validation(config, workdir)
        self.checkpoints = Checkpoints(workdir, config)
        self.writer = metric_writers.AsyncMultiWriter(
            [metric_writers.SummaryWriter(str(workdir)), CsvWriter(workdir / "metrics.csv")]
        )
        self.stop_requested = False
        self._old_handler = signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, *_: object) -> None:
        self.stop_requested = True

    def close(self) -> None:
        signal.signal(signal.SIGTERM, self._old_handler)
        self.checkpoints.close()
        self.writer.flush()
        self.writer.close()

    def stages(self) -> TrainState:
        restored = self.checkpoints.restore(param_shapes(self.config.model))
        if restored is None:
            position = Position(stage=0, step=0)
            state = start_stage(self.config, self.config.stages[0], self._initial_params())
        else:
            position, state = restored
            log.info("continuing at step %d of stage %d", position.step, position.stage)
        # Only now: a config that does not fit the checkpoint must not replace the one that does.
        text = json.dumps(to_dict(self.config), indent=1) + "\n"
        (self._workdir / "config.json").write_text(text)
        while True:
            state = self._stage(position, state)
            last = position.stage == len(self.config.stages) - 1
            if last or self.stop_requested:
                return state
            position = Position(position.stage + 1, 0)
            # The average is what the stage has learned; the last parameters still carry its noise.
            state = start_stage(self.config, self.config.stages[position.stage], state.average)

    def _stage(self, position: Position, state: TrainState) -> TrainState:
        stage = self.config.stages[position.stage]
        step_fn = make_train_step(self.config, stage, position.stage)
        batches = self._batches(position, stage)
        progress = _Progress(self, stage, position)
        for step in range(position.step, stage.steps):
            # Order: train, log, validate, save. A checkpoint of n holds exactly n steps, and the
            # data are a function of the step, so a resumed run sees what this one would have seen.
            state, metrics = step_fn(state, next(batches))
            done = step + 1
            progress.after_step(done, metrics)
            if done % self.config.train.validate_every == 0 or done == stage.steps:
                self.validation.run(progress.global_step(done), state.average, self.writer)
            if self.stop_requested or progress.checkpoint_due() or done == stage.steps:
                progress.checked_means(done)
                self.checkpoints.save(Position(position.stage, done), state)
            if self.stop_requested:
                log.info("stopping at step %d of stage %s", done, stage.name)
                break
        return state

    def _batches(self, position: Position, stage: StageConfig) -> Iterator[np.ndarray]:
        seed = self.config.data.seed + position.stage
        dataset = CropDataset(self.slots, side=stage.crop, batch=stage.batch, seed=seed)
        return dataset.batches(position.step)

    def _initial_params(self) -> FlatParams:
        """Random networks around a linear codec fitted to the training images."""
        key = jax.random.key(self.config.train.seed)
        params = jax.jit(init_params, static_argnums=0)(self.config.model, key)
        log.info("fitting the Karhunen-Loeve transform")
        mean, covariance = karhunen_loeve.patch_covariance(self._patch_batches())
        fitted = karhunen_loeve.linear_codec(mean, covariance, self.config.model, self.config.loss)
        # Copied, not shared with NumPy: the first step writes over the parameters it is given.
        return {**params, **jax.tree.map(jax.numpy.array, fitted)}

    def _patch_batches(self) -> Iterator[np.ndarray]:
        side, batch = 64, 32
        patches = batch * (side // 16) ** 2
        seed = self.config.data.seed + 999
        dataset = CropDataset(self.slots, side=side, batch=batch, seed=seed)
        for i in range(math.ceil(self.config.train.klt_patches / patches)):
            yield np.asarray(to_float(dataset[i]))


class _Progress:
    """Averages metrics between log lines, and tells when a checkpoint is due."""

    def __init__(self, run: _Run, stage: StageConfig, position: Position):
        self._run, self._stage = run, stage
        self._before = sum(s.steps for s in run.config.stages[: position.stage])
        self._window: list[dict] = []
        self._window_start = self._saved = time.monotonic()

    def global_step(self, done: int) -> int:
        return self._before + done

    def checkpoint_due(self) -> bool:
        if time.monotonic() - self._saved < 60 * self._run.config.train.checkpoint_minutes:
            return False
        self._saved = time.monotonic()
        return True

    def after_step(self, done: int, metrics: dict) -> None:
        self._window.append(metrics)
        if done % self._run.config.train.log_every and done != self._stage.steps:
            return
        means = self.checked_means(done)
        seconds = time.monotonic() - self._window_start
        means["seconds_per_step"] = seconds / len(self._window)
        self._run.writer.write_scalars(
            self.global_step(done), {f"{self._stage.name}/{k}": v for k, v in means.items()}
        )
        left = (self._stage.steps - done) * means["seconds_per_step"] / 60
        shown = " ".join(f"{k} {v:.4g}" for k, v in means.items())
        log.info(
            "%s %d/%d (%.0f min left) %s", self._stage.name, done, self._stage.steps, left, shown
        )
        self._window, self._window_start = [], time.monotonic()

    def checked_means(self, done: int) -> dict[str, float]:
        """Metrics since the last log line; raises FloatingPointError if one is not finite.

        Called before each save, for a checkpoint must never hold what the next check refuses.
        """
        names = self._window[0] if self._window else ()
        count = len(self._window)
        means = {name: sum(float(m[name]) for m in self._window) / count for name in names}
        for name, value in means.items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"{name} is {value} within the last {count} steps before step"
                    f" {done} of stage {self._stage.name!r}; the last checkpoint is intact."
                )
        return means
