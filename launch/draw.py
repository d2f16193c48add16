"""Drawn pictures for training beside photographs: python launch/draw.py OUT [--count=150]

OUT is a folder that is made; a configuration takes it with others:
--config.data.train=folder:PHOTOGRAPHS,folder:OUT. 150 pictures are 39 megapixels: 3 % of the crops
beside 1,300 photographs of a megapixel.
"""

from pathlib import Path

import numpy as np
from absl import app, flags
from PIL import Image

from diffcomp.data.drawn_pictures import drawn_picture
from diffcomp.files.atomic_file import atomic_folder

_COUNT = flags.DEFINE_integer("count", 150, "Pictures of 512x512 pixels.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Which pictures.", 0)


def main(argv: list[str]) -> None:
    if len(argv) != 2:
        raise app.UsageError("Give the folder to write.")
    out = Path(argv[1])
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(out) as built:
            for number in range(_COUNT.value):
                picture = drawn_picture(np.random.default_rng((_SEED.value, number)))
                Image.fromarray(picture).save(built / f"drawn_{number:04d}.png")
    except OSError as error:
        raise SystemExit(f"draw: cannot make the folder {out}: {error.strerror}") from error
    print(f"{out}: {_COUNT.value} pictures")


if __name__ == "__main__":
    app.run(main)
