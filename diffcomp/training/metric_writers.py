"""Where a training run writes its metrics: TensorBoard events and `metrics.csv`.

Writing is synchronous, so an error such as a full disk is raised where it happens. (The writer
thread of tensorboardX's own `SummaryWriter` dies of it, and the training would wait for ever.)
"""

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

import jax
import numpy as np
from etils import epath
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary

from diffcomp.files.run_folder import append_rows, writing

FLUSH_SECONDS = 60  # how often events are put on disk; on a bucket the file is sent anew each time

# Tells the event files of one process apart, whose names otherwise hold whole seconds.
_COUNTER = itertools.count()


class MetricWriter(Protocol):
    """Takes named values of a step, the number of training steps since the start of the run."""

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None: ...

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """`images` are uint8 [N, H, W, 3] by name."""

    def flush(self) -> None: ...

    def close(self) -> None: ...


class EventWriter:
    """TensorBoard events in a new file of `workdir`, which is there already, or on a bucket."""

    def __init__(self, workdir: epath.Path):
        suffix = f".{os.getpid()}.{next(_COUNTER)}"
        self._place = f"{workdir}/events"
        with writing(self._place):
            self._events = EventsWriter(self._place, suffix)
        self._flushed = time.monotonic()

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        self._write(step, [summary.scalar(name, value) for name, value in scalars.items()])

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """The N images of a name are called "name/0", "name/1" and so on."""
        for name, batch in images.items():
            tags = (f"{name}/{i}" for i in range(len(batch)))
            shown = [
                summary.image(tag, image, dataformats="HWC")
                for tag, image in zip(tags, batch, strict=True)
            ]
            self._write(step, shown)

    def _write(self, step: int, summaries: Sequence[Summary]) -> None:
        values = [value for each in summaries for value in each.value]
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        with writing(self._place):
            self._events.write_event(event)
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        with writing(self._place):
            self._events.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        with writing(self._place):
            self._events.close()


class CsvWriter:
    """Appends scalars to a CSV file, one a row: step, stage, name, value; drops images.

    A scalar is called "stage/name"; the stage of validation is "validation". Steps repeated after
    a crash are repeated here: the later row holds.
    """

    def __init__(self, path: epath.Path):
        self._path = path

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        rows = [
            (step, *name.split("/", maxsplit=1), f"{value:.6g}") for name, value in scalars.items()
        ]
        append_rows(self._path, ("step", "stage", "name", "value"), rows)

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        pass

    def flush(self) -> None:
        pass  # each row is on disk when it is written

    def close(self) -> None:
        pass


class Writers:
    """Passes everything on to several writers, or to none."""

    def __init__(self, writers: Sequence[MetricWriter]):
        self._writers = writers

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        for writer in self._writers:
            writer.write_scalars(step, scalars)

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        for writer in self._writers:
            writer.write_images(step, images)

    def flush(self) -> None:
        for writer in self._writers:
            writer.flush()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


def make_writer(workdir: epath.Path) -> MetricWriter:
    """TensorBoard events and `metrics.csv` in the workdir; nothing but in the first process."""
    if jax.process_index() > 0:
        return Writers([])
    return Writers([EventWriter(workdir), CsvWriter(workdir / "metrics.csv")])
