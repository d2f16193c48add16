"""`make demo`: one photograph to a file and back, with the shipped weights.

Prints bytes, bpp, PSNR and seconds, and writes a picture of original | decoded. The photograph is
scikit-image's `astronaut` (NASA, public domain), or any image named on the command line.
"""

import argparse
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from diffcomp import codec
from diffcomp.distances.distortion import psnr
from diffcomp.files import image_file

T = TypeVar("T")


def main(argv: list[str] | None = None) -> int:
    """Runs the demonstration; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m diffcomp.demo", description=__doc__)
    parser.add_argument("image", nargs="?", help="default: scikit-image's astronaut")
    parser.add_argument("--quality", type=float, default=codec.DEFAULT_QUALITY)
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="folder to write")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    image = image_file.read_image(args.image or photograph_path()).pixels
    height, width = image.shape[:2]
    print(f"photograph      {width} x {height} pixels, {image.nbytes} bytes raw")

    started = time.monotonic()
    coder = codec.load()
    print(f"load model      {time.monotonic() - started:.1f} s")
    data = _timed("compress", lambda: coder.compress(image, args.quality))
    decoded = {
        realism: _timed("decompress", functools.partial(coder.decompress, data, realism=realism))
        for realism in (1.0, 0.0)
    }

    print(f"file            {len(data)} bytes, {8 * len(data) / (width * height):.3f} bpp", end="")
    print(f" at quality {args.quality:g}")
    for realism, pixels in decoded.items():
        print(f"PSNR            {psnr(pixels, image):.2f} dB at realism {realism:g}")
    (args.out / "photo.dfc").write_bytes(data)
    target = args.out / "original_decoded.png"
    image_file.write_image(target, np.concatenate([image, decoded[1.0]], axis=1), overwrite=True)
    print(f"written         {args.out / 'photo.dfc'}, {target} (original | decoded)")
    return 0


def _timed(name: str, call: Callable[[], T]) -> T:
    """Runs twice: the first run of a size may compile, the second shows the speed."""
    seconds = []
    for _ in range(2):
        started = time.monotonic()
        result = call()
        seconds.append(time.monotonic() - started)
    print(f"{name:15s} {seconds[0]:.1f} s, again {seconds[1]:.2f} s")
    return result


def photograph_path() -> Path:
    """Where scikit-image keeps the photograph; raises ModuleNotFoundError without it."""
    import skimage.data

    return Path(skimage.data.__file__).parent / "astronaut.png"


if __name__ == "__main__":
    sys.exit(main())
