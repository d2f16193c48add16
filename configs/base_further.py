"""How the shipped model was trained on from what base.py gives: base.py, but for these fields.

    python launch/train.py --config=configs/base_further.py --workdir=/tmp/further \
        --config.train.init=EXPORTED_MODEL_OF_BASE --config.data.train=folder:/path/to/photographs

Nothing is lost at the start: the first step has the networks and weights of `train.init`. Without
it that is the shipped model, which has been through these stages already: it goes through them
again.
"""

import runpy
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from diffcomp.networks import parts


def get_config(variant: str = "") -> ConfigDict:
    """`variant` as in base.py."""
    base = runpy.run_path(str(Path(__file__).with_name("base.py")))
    config = base["get_config"](variant)
    config.unlock()
    # The model to start from, of the same networks; the tiny ones of "smoke" have none.
    config.train.init = "" if variant == "smoke" else "base"
    # Perception weighs more than in the first training, and for the files too.
    config.loss.base_weight = 0.2
    config.loss.lpips_scale = 300.0
    config.loss.dists_scale = 500.0
    config.loss.realism_range = (-0.5, 2.0)
    # Decoding starts from noise, mostly with one step only, and so do most of the crops.
    config.loss.start_share = 0.7
    config.loss.gamma_range = (0.0, 1.6)
    # The rates are spread a little further at both ends.
    config.loss.lmbda_low = 0.00014
    config.loss.lmbda_high = 0.0165
    config.stages = stages(base)
    return base["finished"](config, variant)


def joint_multipliers(base: dict[str, Any]) -> dict[str, float]:
    """Of stages that train everything but the linear path; `base` has the names of base.py."""
    return (
        dict.fromkeys(parts.SCORE + parts.GAIN, 1.0)
        | dict.fromkeys(parts.CONTEXT + parts.ENCODER, 0.5)
        # The ends of two branches are in pixels: there Adam's full step would be a grey level.
        | dict.fromkeys(("context_decoder/residual/head", "hyperprior/analysis/residual/head"), 0.1)
        | dict.fromkeys(base["CODING"], 0.3)
    )


def stages(base: dict[str, Any]) -> tuple[ConfigDict, ...]:
    """`base` has the names of base.py."""
    everything = dict(objective="joint", multipliers=joint_multipliers(base))
    stage = base["stage"]
    return (
        # The score network alone, with DISTS.
        stage(
            name="texture",
            objective="decoder",
            steps=2_400,
            vgg_images=3,
            learning_rate=4e-4,
            warmup=50,
            final_rate=0.03,
            multipliers=dict.fromkeys(parts.SCORE, 1.0),
        ),
        stage(
            name="further",
            steps=2_700,
            vgg_images=3,
            learning_rate=3e-4,
            warmup=100,
            final_rate=0.35,
            **everything,
        ),
        stage(
            name="larger",
            steps=1_200,
            batch=4,
            crop=192,
            vgg_images=2,
            learning_rate=1e-4,
            warmup=50,
            final_rate=0.03,
            **everything,
        ),
    )
