"""What the first visitor would wait for is done before there is one."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from diffcomp.decode_settings import DecodeSettings
from diffcomp.web.jobs import Rate, compress_picture, stages_of
from diffcomp.web.pace import JobProgress, Pace
from diffcomp.web.settings import ServeSettings

if TYPE_CHECKING:
    from diffcomp.codec import Codec


def warm_up(
    codec: "Codec", settings: ServeSettings, pace: Pace, say: Callable[[str], None]
) -> None:
    """Codes and decodes a picture of each size of `settings.warm_up`, with the default settings.

    Compiles what is not in the cache, loads all that loads late, and teaches `pace`. `say` gets a
    line per size.
    """
    for width, height in settings.warm_up:
        started = time.monotonic()
        _code(codec, _picture(height, width), pace)
        say(f"warm-up: {width} x {height} pixels, {time.monotonic() - started:.1f} s")
    if settings.warm_up:
        width, height = settings.warm_up[0]
        _code(codec, _picture(height, width), pace)  # nothing compiles now: how long it takes


def _code(codec: "Codec", pixels: np.ndarray, pace: Pace) -> None:
    rate, decode = Rate(), DecodeSettings(steps=codec.model.decode.steps)
    stages = stages_of(rate, decode)
    progress = JobProgress(
        pace, pixels.shape[0] * pixels.shape[1], stages, lambda *told: None, threading.Event()
    )
    compress_picture(codec, pixels, rate, decode, progress)


def _picture(height: int, width: int) -> np.ndarray:
    """A gradient with noise, so that every network and table has something to do."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 200, width, dtype=np.float32)[None, :, None]
    return (ramp + rng.uniform(0, 55, (height, width, 3))).astype(np.uint8)
