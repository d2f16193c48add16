"""Trains on from the shipped model: for graphics, beside photographs.

    python launch/draw.py /tmp/drawn --count=60
    python launch/draw.py /tmp/collages --count=250 --art=/usr/share/openclipart/svg
    python launch/train.py --config=configs/base_graphics.py --workdir=/tmp/graphics \
        --config.data.train=folder:/path/to/photographs,folder:/tmp/drawn,folder:/tmp/collages

base_structure.py, but for these fields. Areas of one colour, which a file states, are no longer
asked of the networks. The shipped model's card says how its run differed.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict


def get_config(variant: str = "") -> ConfigDict:
    """`variant` as in base.py."""
    structure = runpy.run_path(str(Path(__file__).with_name("base_structure.py")))
    config = structure["get_config"](variant)
    config.unlock()
    (stage,) = config.stages
    stage.update(name="graphics", steps=3_600)
    base = runpy.run_path(str(Path(__file__).with_name("base.py")))
    return base["finished"](config, variant)
