"""Pictures that no photographer takes, through the shipped model at quality 8 and realism 0.

    python tests/extremes.py [--side 512] [--shapes 1x1,1x4000,4000x1,65535x1]

Strips and points of noise must come back in their size. Of drawn pictures and a photograph the PSNR
is held against that of a JPEG of as many bytes, or the next fewer (Pillow, optimised, 4:4:4): where
JPEG is ahead the codec is the wrong one, which the model's card must say.
"""

import argparse
import sys

import numpy as np
import skimage.data

import diffcomp
from diffcomp.codec import Codec
from diffcomp.evaluation.baselines import baseline_candidate
from diffcomp.evaluation.failure_pictures import failure_pictures


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def jpeg_of(picture: np.ndarray, most: int) -> tuple[int, np.ndarray] | None:
    """The largest JPEG of at most so many bytes, its bytes and pixels; None if there is none."""
    jpeg, found = baseline_candidate("jpeg444"), None
    for quality in range(1, 101):
        data = jpeg.encode(picture, quality)
        if len(data) <= most:
            found = len(data), jpeg.decode(data)
    return found


def pictures(side: int) -> dict[str, np.ndarray]:
    """The drawn ones, flat ones and a photograph."""
    rng = np.random.default_rng(1)
    drawn = {name: picture[:side, :side] for name, picture in failure_pictures().items()}
    flat = {
        f"flat {'-'.join(map(str, colour))}": np.full((side, side, 3), colour, np.uint8)
        for colour in ((0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255))
    }
    noise = {"coloured noise": rng.integers(0, 256, (side, side, 3), np.uint8)}
    return drawn | flat | noise | {"photograph": skimage.data.astronaut()[:side, :side]}


def through(codec: Codec, picture: np.ndarray) -> tuple[int, np.ndarray]:
    data = codec.compress(picture, 8.0)
    decoded = codec.decompress(data, realism=0.0)
    assert decoded.shape == picture.shape and decoded.dtype == np.uint8, decoded.shape
    return len(data), decoded


def main() -> None:
    """Prints a line per picture; raises for one that does not come back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--shapes", default="1x1,1x4000,4000x1,65535x1", help="WIDTHxHEIGHT,...")
    args = parser.parse_args()
    codec, rng = diffcomp.load(), np.random.default_rng(0)
    for name, picture in pictures(args.side).items():
        size, decoded = through(codec, picture)
        ours, jpeg = psnr(decoded, picture), jpeg_of(picture, size)
        theirs = "no JPEG is as small" if jpeg is None else f"JPEG {psnr(jpeg[1], picture):5.1f} dB"
        print(f"{name:18s} {size:7d} bytes, {ours:5.1f} dB; {theirs}", flush=True)
    for shape in filter(None, args.shapes.split(",")):
        width, height = map(int, shape.split("x"))
        size, _ = through(codec, rng.integers(0, 256, (height, width, 3), np.uint8))
        print(f"{shape:18s} {size:7d} bytes, comes back", flush=True)


if __name__ == "__main__":
    sys.exit(main())
