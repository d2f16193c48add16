"""Time and memory of large pictures: python launch/benchmark_tiles.py PHOTO [--megapixels=1,12,24]

Compresses and decompresses pictures of 3:2 that are made of the photograph and its mirror images,
and prints seconds per megapixel, also as multiples of those of the first size, and the most memory
that the process had. Each line is of a process of its own; what the first call compiles is not in
the times, but in the memory.
"""

import concurrent.futures
import multiprocessing
import os
import resource
import time
from typing import NamedTuple

import numpy as np
from absl import app, flags
from PIL import Image

_CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
_MEGAPIXELS = flags.DEFINE_list("megapixels", ["1", "12", "24"], "Sizes of pictures.")
_REPEATS = flags.DEFINE_integer("repeats", 2, "Calls of which the fastest counts.", 1)
_CLOCK = flags.DEFINE_enum("clock", "wall", list(_CLOCKS), "Time that passes, or of processors.")
_MODEL = flags.DEFINE_string("model", "base", "Shipped model or folder of an exported one.")


class Cost(NamedTuple):
    """Of one direction at one size."""

    data: bytes  # of the file
    seconds: float
    peak: int  # of memory, bytes


def picture(path: str, megapixels: float) -> np.ndarray:
    """uint8 [H, W, 3] of the photograph and its mirror images, three wide by two high."""
    with Image.open(path) as file:
        photo = np.asarray(file.convert("RGB"))
    height = round(np.sqrt(megapixels * 1e6 / 1.5))
    width = height * 3 // 2
    below, right = max(0, height - photo.shape[0]), max(0, width - photo.shape[1])
    return np.pad(photo, ((0, below), (0, right), (0, 0)), mode="symmetric")[:height, :width]


def measure(
    model: str, photo: str, megapixels: float, data: bytes, repeats: int, clock: str
) -> Cost:
    """Compresses the picture, or decompresses the data if there is some."""
    import diffcomp

    codec = diffcomp.load(model)
    image = None if data else picture(photo, megapixels)
    seconds = []
    for _ in range(repeats + 1):
        start = _CLOCKS[clock]()
        if image is not None:
            file = codec.compress(image)
        else:
            codec.decompress(data)
        seconds.append(_CLOCKS[clock]() - start)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Cost(data if data else file, min(seconds[1:]), peak)


def in_a_process(*args: object) -> Cost:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, *args).result()


def main(argv: list[str]) -> None:
    if len(argv) != 2:
        raise app.UsageError("one photograph, please")
    print(
        f"{'megapixels':>10s}  {'':10s}{f'{_CLOCK.value} s/MP':>12s}{'ratio':>8s}{'peak GiB':>10s}"
    )
    first: dict[str, float] = {}
    for size in map(float, _MEGAPIXELS.value):
        data = b""
        for name in ("compress", "decompress"):
            args = (_MODEL.value, argv[1], size, data, _REPEATS.value, _CLOCK.value)
            data, seconds, peak = in_a_process(*args)
            rate = seconds / size
            ratio = rate / first.setdefault(name, rate)
            print(f"{size:10g}  {name:10s}{rate:12.3f}{ratio:8.2f}{peak / 2**30:10.2f}", flush=True)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    app.run(main)
