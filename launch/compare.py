"""Real files against JPEG at equal bytes: python launch/compare.py IMAGE... [--quality=2,4,6]

Prints a row per image and quality: bits per pixel of the file and as the model estimates them, PSNR
at realism 0, LPIPS-Alex at realism 1, and both for Pillow's optimised JPEG at the same size
(linear in the bytes between the two nearest JPEG qualities). `--csv=FILE` keeps the rows.
"""

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app, flags
from PIL import Image

from diffcomp import codec
from diffcomp.distances.distortion import bpp, psnr
from diffcomp.distances.lpips import lpips
from diffcomp.distances.lpips_weights import load_lpips
from diffcomp.files import image_file
from diffcomp.networks.pixels import to_float

_QUALITY = flags.DEFINE_list("quality", ["2", "4", "6"], "Qualities, 1 to 8.")
_MODEL = flags.DEFINE_string("model", codec.DEFAULT_MODEL, "Shipped model, or an exported folder.")
_STEPS = flags.DEFINE_integer("steps", None, "Calls of the score network (default: the model's).")
_CSV = flags.DEFINE_string("csv", None, "Also writes the rows to this file.")
_COLUMNS = ("bpp", "estimate", "psnr", "lpips", "jpeg_psnr", "jpeg_lpips")


class JpegCurve(NamedTuple):
    """Pillow's JPEG over its qualities, by ascending size."""

    sizes: np.ndarray  # bytes
    psnr: np.ndarray  # dB
    lpips: np.ndarray

    def at(self, size: int) -> tuple[float, float]:
        """PSNR and LPIPS at `size` bytes; NaN outside of what JPEG reaches."""
        values = (np.interp(size, self.sizes, v, np.nan, np.nan) for v in (self.psnr, self.lpips))
        return tuple(float(value) for value in values)


def jpeg_curve(image: np.ndarray) -> JpegCurve:
    """Encodes at qualities 2 to 95; LPIPS is the slow part, so in steps of 3."""
    rows = []
    for quality in range(2, 96, 3):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality, optimize=True)
        decoded = np.asarray(Image.open(file).convert("RGB"))
        rows.append((file.tell(), psnr(decoded, image), _lpips(decoded, image)))
    return JpegCurve(*np.array(sorted(rows)).T)


def _lpips(image: np.ndarray, reference: np.ndarray) -> float:
    x, x_hat = (to_float(array[None]) for array in (reference, image))
    return float(lpips(load_lpips("alex"), x, x_hat)[0])


def compare(coder: codec.Codec, image: np.ndarray, quality: float, jpeg: JpegCurve) -> list[float]:
    """The values of `_COLUMNS`."""
    data = coder.compress(image, quality)
    height, width = image.shape[:2]
    steps = {"steps": _STEPS.value} if _STEPS.value else {}
    exact = coder.decompress(data, realism=0, **steps)
    natural = coder.decompress(data, realism=1, **steps)
    return [
        bpp(len(data), height, width),
        coder.bpp_estimate(image, quality),
        psnr(exact, image),
        _lpips(natural, image),
        *jpeg.at(len(data)),
    ]


def main(argv: list[str]) -> None:
    if len(argv) < 2:
        raise app.UsageError("Give one or more images.")
    coder = codec.load(_MODEL.value)
    qualities = [float(quality) for quality in _QUALITY.value]
    rows = {quality: [] for quality in qualities}
    print(f"{'image':16s} {'q':>4s} " + " ".join(f"{name:>10s}" for name in _COLUMNS))
    for path in argv[1:]:
        image = image_file.read_image(path).pixels
        jpeg = jpeg_curve(image)
        for quality in qualities:
            rows[quality].append(compare(coder, image, quality, jpeg))
            _print(Path(path).stem, quality, rows[quality][-1])
    for quality in qualities:
        _print("mean", quality, np.mean(rows[quality], axis=0))
    if _CSV.value:
        names = [Path(path).stem for path in argv[1:]]
        _write_csv(Path(_CSV.value), names, rows)


def _write_csv(path: Path, names: list[str], rows: dict[float, list[list[float]]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "quality", *_COLUMNS))
        for quality, values in rows.items():
            for name, row in zip(names, values, strict=True):
                writer.writerow((name, f"{quality:g}", *(f"{value:.5g}" for value in row)))


def _print(name: str, quality: float, values: list[float] | np.ndarray) -> None:
    print(f"{name:16s} {quality:4g} " + " ".join(f"{v:10.4f}" for v in values), flush=True)


if __name__ == "__main__":
    app.run(main)
