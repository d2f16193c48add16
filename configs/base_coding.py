"""Trains an entropy model of several groups of channels, alone.

    python launch/train.py --config=configs/base_coding.py --workdir=/tmp/coding \
        --config.data.train=folder:/path/to/photographs

base_further.py, but for these fields. Encoder, steps and decoder stay as they are; only z and the
parameters of y's distributions change. A step takes a fraction of a joint one's time. The decoder
must be trained after it: it reads more in the means of y than a squared error says
(base_trials.csv). The model `grouped` is the state between the two.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict


def get_config(variant: str = "") -> ConfigDict:
    """`variant` as in base.py."""
    folder = Path(__file__).parent
    base = runpy.run_path(str(folder / "base.py"))
    further = runpy.run_path(str(folder / "base_further.py"))
    config = further["get_config"](variant)
    config.unlock()
    # Channels 0 to 23 hold what is coarse; they are few, so four passes of them cost little.
    config.model.group_starts = (0, 24, 96)
    config.model.group_passes = (4, 2, 2)
    config.train.init = "" if variant == "smoke" else "grouped"
    coding = base["stage"](
        name="coding",
        objective="rate",
        steps=3_800,
        # Crops of 4x4 positions of z: at 128 pixels most are at a border.
        crop=256,
        batch=8,
        learning_rate=1e-3,
        warmup=100,
        final_rate=0.01,
        multipliers=dict.fromkeys(base["CODING"], 1.0),
    )
    config.stages = (coding,)
    return base["finished"](config, variant)
