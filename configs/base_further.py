"""The shipped model, trained on: base.py, but for these fields.

    python launch/train.py --config=configs/base_further.py --workdir=/tmp/further \
        --config.data.train=folder:/path/to/photographs

Nothing is lost at the start: the first step has the shipped model's networks and weights.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict


def get_config(variant: str = "") -> ConfigDict:
    """`variant` as in base.py."""
    base = runpy.run_path(str(Path(__file__).with_name("base.py")))
    config = base["get_config"](variant)
    config.unlock()
    # The model to start from, of the same networks; the tiny ones of "smoke" have none.
    config.train.init = "" if variant == "smoke" else "base"
    # Perception weighs more than in the first training: the score network has most to learn.
    config.loss.lpips_scale = 150.0
    config.loss.dists_scale = 300.0
    # The score network alone, with DISTS: files stay as they are, and old ones decode better too.
    stage = base["stage"](
        name="texture",
        objective="decoder",
        steps=2_400,
        dists_images=3,
        learning_rate=4e-4,
        warmup=50,
        final_rate=0.03,
        multipliers=dict.fromkeys(base["SCORE"], 1.0),
    )
    config.stages = (stage,)
    if variant == "smoke":
        base["shrink"](config)
        stage.dists_images = 1
    config.lock()
    return config
