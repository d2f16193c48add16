"""How far a job is, and how long it will take still: learned from the jobs before it."""

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager

from diffcomp.tiling import Progress

# (what is being done, how much of all is done in [0, 1], seconds that are left or None)
Tell = Callable[[str, float, float | None], None]


class Cancelled(Exception):
    """The visitor has stopped the job, or left."""


class Pace:
    """Seconds per megapixel of each stage of a job, of the last jobs of this server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}
        self._compiled: set[Hashable] = set()

    def expected(self, stage: str, pixels: int) -> float:
        """Seconds that the stage takes; one second a megapixel if it never ran."""
        return self._seconds.get(stage, 1.0) * pixels / 1e6

    def learn(self, stage: str, pixels: int, seconds: float) -> None:
        """What a stage took; later ones weigh more."""
        new = seconds * 1e6 / pixels
        with self._lock:
            old = self._seconds.get(stage, new)
            self._seconds[stage] = (old + new) / 2

    def is_first(self, programs: Hashable) -> bool:
        """Whether programs of this kind have not run here, so that they are compiled first."""
        return programs not in self._compiled

    def has_run(self, programs: Hashable) -> None:
        with self._lock:
            self._compiled.add(programs)


class JobProgress:
    """One job's stages, told to `tell`.

    Args:
      pace: of the server.
      pixels: of the picture.
      stages: names in their order, and how often each is done.
      tell: hears of every step.
      cancelled: is looked at before every step.
    """

    def __init__(
        self,
        pace: Pace,
        pixels: int,
        stages: Mapping[str, float],
        tell: Tell,
        cancelled: threading.Event,
    ):
        self._pace, self._pixels, self._stages = pace, pixels, stages
        self._tell, self._cancelled = tell, cancelled
        self._weights = {
            name: count * pace.expected(name, pixels) for name, count in stages.items()
        }
        self._done = 0.0  # seconds, as expected, of the stages that are over
        self._started = time.monotonic()

    def check(self) -> None:
        """Raises Cancelled once the job is."""
        if self._cancelled.is_set():
            raise Cancelled

    @contextmanager
    def stage(self, name: str, programs: Hashable = None) -> Iterator[Progress]:
        """A stage; yields what it may tell of parts done and of parts in all.

        programs: what it runs, if that may have to be compiled first, which is said then and
        teaches nothing about the pace. Raises Cancelled, also in what it yields.
        """
        first = programs is not None and self._pace.is_first(programs)
        text = f"{name} (compiles first: a new size or number of steps)" if first else name

        def told(done: int, total: int) -> None:
            self.check()
            share = self._weights[name] * min(done / total, 1)
            self._say(text, self._done + share, is_known=not first)

        told(0, 1)
        started = time.monotonic()
        yield told
        if not first:
            seconds = (time.monotonic() - started) / self._stages[name]
            self._pace.learn(name, self._pixels, seconds)
        self._pace.has_run(programs)
        self._done += self._weights[name]
        self.check()

    def _say(self, text: str, done: float, is_known: bool) -> None:
        total = sum(self._weights.values())
        fraction, elapsed = done / total, time.monotonic() - self._started
        # At first what jobs before took, then more and more what this one takes.
        pace = (1 - fraction) + fraction * (elapsed / done if done else 1.0)
        self._tell(text, fraction, (total - done) * pace if is_known else None)
