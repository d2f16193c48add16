"""Trains on from the model `grouped`: encoder, coding part and decoder together.

    python launch/train.py --config=configs/base_grouped.py --workdir=/tmp/grouped \
        --config.data.train=folder:/path/to/photographs

base_areas.py with the entropy model of base_coding.py, which trained that one alone: the decoder
learns what the means of y say now.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from diffcomp.networks import parts


def get_config(variant: str = "") -> ConfigDict:
    """`variant` as in base.py."""
    folder = Path(__file__).parent
    base = runpy.run_path(str(folder / "base.py"))
    coding = runpy.run_path(str(folder / "base_coding.py"))["get_config"](variant)
    config = runpy.run_path(str(folder / "base_areas.py"))["get_config"](variant)
    config.unlock()
    config.model = coding.model
    config.train.init = coding.train.init
    (stage,) = config.stages
    stage.name = "grouped"
    stage.steps = 1_400
    stage.learning_rate = 3e-4
    # The decoder has furthest to go; the encoder and its steps have been through base_areas.py.
    stage.multipliers.update(dict.fromkeys(parts.ENCODER, 0.3))
    stage.multipliers.update(dict.fromkeys(parts.GAIN, 1.0))
    return base["finished"](config, variant)
