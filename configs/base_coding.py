"""Trains the entropy model alone, given z: the parameters of y's distributions.

    python launch/train.py --config=configs/base_coding.py --workdir=/tmp/coding \
        --config.data.train=folder:/path/to/photographs

base_further.py, but for these fields. Encoder, steps and decoder stay as they are; a step takes a
fraction of a joint one's time. base_areas.py must follow: the decoder reads more in the means of y
than a squared error says (base_trials.csv).
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from diffcomp.networks import parts


def get_config(variant: str = "") -> ConfigDict:
    """`variant` as in base.py."""
    folder = Path(__file__).parent
    base = runpy.run_path(str(folder / "base.py"))
    further = runpy.run_path(str(folder / "base_further.py"))
    config = further["get_config"](variant)
    config.unlock()
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
        # z and the steps of y, which hang on it, stay: see parts.STEPS.
        multipliers=dict.fromkeys(parts.ENTROPY_MODEL, 1.0),
    )
    config.stages = (coding,)
    return base["finished"](config, variant, groups=True)
