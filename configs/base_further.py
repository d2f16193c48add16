"""The shipped model, trained on: base.py, but for these fields.

    python launch/train.py --config=configs/base_further.py --workdir=/tmp/further \
        --config.data.train=folder:/path/to/photographs

Nothing is lost at the start: the first step has the shipped model's weights, networks and latents.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict


def get_config(variant: str = "") -> ConfigDict:
    """`variant` as in base.py."""
    base = runpy.run_path(str(Path(__file__).with_name("base.py")))
    config = base["get_config"](variant)
    config.unlock()
    # The model to start from, of the same networks.
    config.train.init = "base"
    if variant == "smoke":
        config.train.init = ""
    # Perception weighs more than in the first training: the score network has most to learn.
    config.loss.base_weight = 0.25
    config.loss.lpips_scale = 150.0
    config.loss.dists_scale = 300.0
    # The last stage alone, with DISTS.
    joint = config.stages[-1]
    joint.name = "further"
    joint.dists_images = 3
    if variant != "smoke":
        joint.steps = 2_600
        joint.learning_rate = 2e-4
        joint.warmup = 100
        joint.final_rate = 0.03
    config.stages = (joint,)
    config.lock()
    return config
