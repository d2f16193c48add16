"""Batches of random crops, as a function of (seed, step): any of them can be made again.

The global batch of a step does not depend on the number of processes that share it: each makes
its own rows. Decoding runs ahead in threads, or in worker processes with threads of their own.
"""

import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grain.python as grain
import numpy as np
from absl import flags
from PIL import Image

from diffcomp.data.crop_slots import CropSlots, Fault

BATCHES_AHEAD = 2  # per thread, and once more per worker process
GRACE = 10.0  # seconds that a worker goes on after SIGTERM
ENDLESS = 2**48  # crops; grain's own "for ever" overflows when a batch is a single crop


class CropDataset:
    """Endless, randomly accessible batches: step -> uint8 [batch / process_count, side, side, 3].

    A global batch is `batch` crops in an order that only the seed and the step decide. Process p
    of P has the rows p * batch / P to (p + 1) * batch / P; an epoch draws each slot once.

    Args:
      slots: what is cropped; unreadable images are entered in its `skipped` as batches come out.
      side: of the square crops, pixels.
      batch: crops of all processes together.
      seed: of order, sizes, places and flips, 0 to 2**32 - 1.
      process_index, process_count: which share of the rows this one is.

    Raises:
      ValueError: the batch cannot be shared out evenly, the index is not below the count, or
        `slots.config.downscale` is no range within (0, 1].
    """

    def __init__(
        self,
        slots: CropSlots,
        *,
        side: int,
        batch: int,
        seed: int,
        process_index: int = 0,
        process_count: int = 1,
    ):
        low, high = downscale = slots.config.downscale
        if not 0 < low <= high <= 1:
            raise ValueError(f"data.downscale is {downscale}; it must be 0 < low <= high <= 1.")
        if not 0 <= process_index < process_count:
            raise ValueError(f"process_index is {process_index} of {process_count} processes.")
        if batch % process_count:
            raise ValueError(
                f"batch is {batch}; it must be a multiple of the {process_count} processes."
            )
        self.slots = slots
        # Batches of one process's rows, of which each process takes every process_count-th.
        self._dataset = (
            grain.MapDataset.source(slots)
            .seed(seed)
            .shuffle()
            .repeat(max(1, ENDLESS // len(slots)))
            .random_map(
                lambda drawn, rng: (random_crop(drawn.pixels, side, rng, downscale), drawn.faults)
            )
            .batch(batch // process_count, batch_fn=_collate)[process_index::process_count]
        )

    def __getitem__(self, step: int) -> np.ndarray:
        return self._noted(self._dataset[step])

    def batches(self, start: int) -> Iterator[np.ndarray]:
        """Batches start, start + 1, ..., made ahead of time as `slots.config` says.

        `threads` threads make them, in each of `workers` processes if that is not 0. Close the
        iterator (it is a generator) to end them early.
        """
        config = self.slots.config
        ahead = BATCHES_AHEAD * max(1, config.threads)
        made = self._dataset[start:].to_iter_dataset(grain.ReadOptions(config.threads, ahead))
        if config.workers:
            # Grain reads flags of its own here, which a program without absl's `app` never parsed.
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()
            options = grain.MultiprocessingOptions(config.workers, BATCHES_AHEAD)
            made = made.mp_prefetch(options, _follow_parent)
        for batch in made:
            yield self._noted(batch)

    def _noted(self, batch: tuple[np.ndarray, tuple[Fault, ...]]) -> np.ndarray:
        """The crops; what was skipped comes with them, for another process may have met it."""
        crops, faults = batch
        self.slots.note(faults)
        return crops


class WaitTimer:
    """Passes an iterator on, and measures how long its user waits for the next item."""

    def __init__(self, iterator: Iterator[Any]):
        self._iterator = iterator
        self.waited = 0.0  # seconds within next(), in all
        self._mark = (time.monotonic(), 0.0)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        start = time.monotonic()
        try:
            return next(self._iterator)
        finally:
            self.waited += time.monotonic() - start

    def share_waiting(self) -> float:
        """The share of the time since the last call (or the start) that was spent waiting."""
        now = time.monotonic()
        (before, waited), self._mark = self._mark, (now, self.waited)
        return (self.waited - waited) / max(now - before, 1e-9)

    def close(self) -> None:
        """Closes the iterator, and with it the threads and processes behind `batches`."""
        self._iterator.close()


def random_crop(
    image: np.ndarray,
    side: int,
    rng: np.random.Generator,
    downscale: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """A random square of `side` pixels, mirrored half of the time, uint8 [side, side, 3].

    The picture is first made smaller by a factor that is uniform in `downscale`, but not smaller
    than the crop: traces of JPEG go, and pictures of other sharpness appear. An image that is
    smaller than the crop from the start is extended by reflection.
    """
    height, width = image.shape[:2]
    if min(height, width) < side:
        pad = [(0, max(0, side - height)), (0, max(0, side - width)), (0, 0)]
        image = np.pad(image, pad, mode="symmetric")
        height, width = image.shape[:2]
    window = side
    if downscale != (1.0, 1.0):
        window = min(round(side / rng.uniform(*downscale)), height, width)
    top = rng.integers(height - window + 1)
    left = rng.integers(width - window + 1)
    crop = _shrunk_window(image, top, left, window, side)
    return crop[:, ::-1] if rng.integers(2) else crop


def _shrunk_window(image: np.ndarray, top: int, left: int, window: int, side: int) -> np.ndarray:
    """A square of `window` pixels, resampled to `side` pixels as if the whole image were."""
    if window == side:
        return image[top : top + side, left : left + side]
    margin = math.ceil(3 * window / side)  # Lanczos looks three pixels of the result far
    above, before = max(0, top - margin), max(0, left - margin)
    patch = image[above : top + window + margin, before : left + window + margin]
    top, left = top - above, left - before
    box = (left, top, left + window, top + window)
    shrunk = Image.fromarray(patch).resize((side, side), Image.Resampling.LANCZOS, box)
    return np.asarray(shrunk)


def _collate(
    items: Sequence[tuple[np.ndarray, tuple[Fault, ...]]],
) -> tuple[np.ndarray, tuple[Fault, ...]]:
    crops, faults = zip(*items, strict=True)
    return np.stack(crops), tuple(fault for group in faults for fault in group)


def _follow_parent(*_: int) -> None:
    """Run in a new worker process: it survives the signal to stop, but not the training process."""
    # Who stops training may signal all its processes; the last step still needs its batch.
    os.setpgrp()
    signal.signal(signal.SIGTERM, lambda *_: _end_after(lambda: time.sleep(GRACE)))
    _end_after(multiprocessing.parent_process().join)


def _end_after(wait: Callable[[], None]) -> None:
    """Ends this process when `wait` returns, unless it has ended before."""

    def end() -> None:
        wait()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
