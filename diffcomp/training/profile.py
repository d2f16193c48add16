"""A trace of some training steps, for TensorBoard or Perfetto."""

import jax
from etils import epath

from diffcomp.training.config import TrainConfig


class Profile:
    """A trace of `train.profile_steps` steps from step `train.profile_start` on, if not 0."""

    def __init__(self, train: TrainConfig, workdir: epath.Path):
        self._first, self._end = train.profile_start, train.profile_start + train.profile_steps
        self._folder, self._running = str(workdir / "profile"), False

    def of_step(self, total: int) -> jax.profiler.StepTraceAnnotation:
        """To be around step number `total` of the run."""
        wanted = self._first <= total < self._end
        if wanted and not self._running:
            jax.profiler.start_trace(self._folder)
        elif self._running and not wanted:
            jax.profiler.stop_trace()
        self._running = wanted
        return jax.profiler.StepTraceAnnotation("train", step_num=total)

    def close(self) -> None:
        if self._running:
            jax.profiler.stop_trace()
