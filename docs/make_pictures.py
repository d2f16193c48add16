"""The pictures of what the codec does: python docs/make_pictures.py [--model=base]

Writes docs/pictures/quality_N.webp: a part of a photograph as it is, after diffcomp, and after AVIF
at no more bytes, pixel by pixel. The photograph, coded as a whole, is that of `make demo`:
scikit-image's `astronaut` (NASA, public domain). Prints the figures. Runs in `.venv`.
"""

import argparse
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFont

import diffcomp
from diffcomp.distances.distortion import bpp, psnr
from diffcomp.distances.lpips import lpips_of_images
from diffcomp.web.equal_avif import equal_avif

FOLDER = Path(__file__).parent / "pictures"
QUALITIES = (2, 4, 8)
PART = np.s_[0:288, 70:390]
GAP, HEAD = 8, 26  # pixels between the parts, and above them for what they are
WEBP_QUALITY = 90


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="base", help="default: %(default)s")
    codec = diffcomp.load(parser.parse_args().model)
    photograph = skimage.data.astronaut()
    FOLDER.mkdir(exist_ok=True)
    for quality in QUALITIES:
        data = codec.compress(photograph, quality)
        avif = equal_avif(photograph, len(data))
        if avif is None:
            raise SystemExit(f"no AVIF is as small as {len(data)} bytes, at quality {quality}")
        sides = {
            "original": photograph,
            f"diffcomp, {len(data):,} bytes": codec.decompress(data),
            f"AVIF, {len(avif.data):,} bytes": avif.decoded,
        }
        path = FOLDER / f"quality_{quality}.webp"
        beside(sides).save(path, quality=WEBP_QUALITY, method=6)
        print(f"{path.name}: {path.stat().st_size} bytes, quality {quality}")
        for name, decoded in list(sides.items())[1:]:
            size = len(data) if name.startswith("diffcomp") else len(avif.data)
            distance = lpips_of_images("alex", decoded, photograph)
            print(
                f"    {name}: {bpp(size, *photograph.shape[:2]):.3f} bpp,"
                f" PSNR {psnr(decoded, photograph):.2f} dB, LPIPS {distance:.3f}"
            )


def beside(sides: dict[str, np.ndarray]) -> Image.Image:
    """PART of each uint8 [H, W, 3], from left to right, with its name above it."""
    height, width = next(iter(sides.values()))[PART].shape[:2]
    total = len(sides) * (width + GAP) - GAP
    sheet = Image.new("RGB", (total, height + HEAD), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=16)
    for i, (name, pixels) in enumerate(sides.items()):
        left = i * (width + GAP)
        draw.text((left + 2, 3), name, "black", font)
        sheet.paste(Image.fromarray(pixels[PART]), (left, HEAD))
    return sheet


if __name__ == "__main__":
    main()
