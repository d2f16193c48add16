"""What a training run writes down: means of its metrics, speed, and a line with the time left.

Where it goes is a matter of `metric_writers`.
"""

import logging
import math
import time

import jax

from diffcomp.data.input_pipeline import WaitTimer
from diffcomp.objectives.base import NOISE_LEVELS
from diffcomp.training.config import StageConfig

log = logging.getLogger(__name__)


class Window:
    """Metrics since the last log line of a stage."""

    def __init__(self, stage: StageConfig, data: WaitTimer):
        self._stage, self._data = stage, data
        self._metrics: list[dict[str, jax.Array]] = []
        self._start = time.monotonic()

    def add(self, metrics: dict[str, jax.Array]) -> None:
        self._metrics.append(metrics)

    def means(self, done: int) -> dict[str, float]:
        """Means over the steps of the window, `done` the steps of the stage.

        Raises FloatingPointError, naming metric and step, if one is not finite. To be called
        before each save: a checkpoint must never hold what the next check refuses.
        """
        names = self._metrics[0] if self._metrics else ()
        count = len(self._metrics)
        means = {name: sum(float(m[name]) for m in self._metrics) / count for name in names}
        for name, value in means.items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"{name} is {value} within the last {count} steps before step"
                    f" {done} of stage {self._stage.name!r}; the last checkpoint is intact."
                )
        return psnr_by_noise_level(means)

    def close(self, done: int, skipped: int) -> dict[str, float]:
        """The means with the speed, logged on a line with the time left; starts a new window."""
        means, seconds = self.means(done), time.monotonic() - self._start
        per_step = seconds / len(self._metrics)
        means |= {
            "seconds_per_step": per_step,
            "images_per_second": self._stage.batch / per_step,
            "share_waiting": self._data.share_waiting(),
            "images_skipped": float(skipped),
        } | device_memory()
        left = (self._stage.steps - done) * per_step / 60
        shown = " ".join(f"{name} {value:.4g}" for name, value in means.items())
        log.info(
            "%s %d/%d (%.0f min left) %s", self._stage.name, done, self._stage.steps, left, shown
        )
        self._metrics, self._start = [], time.monotonic()
        return means


def psnr_by_noise_level(means: dict[str, float]) -> dict[str, float]:
    """Turns the sums of `losses.noise_level_terms` into the x_0 estimate's PSNR, dB, by level.

    Level k is the k-th part of t in [0, 1]; one that no image was at is left out.
    """
    means = dict(means)
    for k in range(NOISE_LEVELS):
        error, share = means.pop(f"mse_x0_t{k}", 0.0), means.pop(f"share_t{k}", 0.0)
        if error > 0 and share > 0:
            means[f"psnr_x0_t{k}"] = 10 * math.log10(255**2 * share / error)
    return means


def device_memory() -> dict[str, float]:
    """Largest use of the first local device's memory so far, GiB; nothing where JAX cannot tell."""
    stats = jax.local_devices()[0].memory_stats() or {}
    peak = stats.get("peak_bytes_in_use")
    return {} if peak is None else {"device_memory_gib": peak / 2**30}
