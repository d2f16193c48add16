"""Drawn pictures for training beside photographs: python launch/draw.py OUT [--count=150]

OUT is a folder that is made; a configuration takes it with others:
--config.data.train=folder:PHOTOGRAPHS,folder:OUT. 150 pictures are 39 megapixels: 3 % of the crops
beside 1,300 photographs of a megapixel.

With --art=FOLDER, of SVG files, they are collages of these, of 0.6 megapixels each. Debian's
package openclipart-svg has 8,000 files in the public domain, librsvg2-bin the program that draws
them, rsvg-convert.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import app, flags
from PIL import Image

from diffcomp.data.collages import check_program, collage, files_by_folder
from diffcomp.data.drawn_pictures import drawn_picture
from diffcomp.files.atomic_file import atomic_folder

_COUNT = flags.DEFINE_integer("count", 150, "Pictures to draw.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Which pictures.", 0)
_ART = flags.DEFINE_string("art", None, "Folder of SVG files: draw collages of them.")
_FONTS = flags.DEFINE_string("fonts", None, "Folder of .ttf files for labels in collages.")


def main(argv: list[str]) -> None:
    if len(argv) != 2:
        raise app.UsageError("Give the folder to write.")
    out = Path(argv[1])
    try:
        name, draw = _drawing()
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(out) as built:
            for number in range(_COUNT.value):
                picture = draw(np.random.default_rng((_SEED.value, number)))
                Image.fromarray(picture).save(built / f"{name}_{number:04d}.png")
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    except OSError as error:
        raise SystemExit(f"draw: cannot make the folder {out}: {error.strerror}") from error
    print(f"{out}: {_COUNT.value} pictures")


def _drawing() -> tuple[str, Callable[[np.random.Generator], np.ndarray]]:
    """What pictures are called, and what draws one; raises ValueError for want of files."""
    if _ART.value is None:
        return "drawn", drawn_picture
    check_program()
    art = files_by_folder(Path(_ART.value), ".svg")
    fonts = files_by_folder(Path(_FONTS.value), ".ttf") if _FONTS.value else []
    return "collage", lambda rng: collage(rng, art, fonts)


if __name__ == "__main__":
    app.run(main)
