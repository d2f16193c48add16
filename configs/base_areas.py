"""How the shipped model was trained on once more: for colours of areas, and by VGG16's judgement.

    python launch/train.py --config=configs/base_areas.py --workdir=/tmp/areas \
        --config.train.init=EXPORTED_MODEL --config.data.train=folder:/path/to/photographs

base_further.py, but for these fields. Its model is where this begins; without `train.init` that is
the shipped one, which has been through this already.
"""

import runpy
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from diffcomp.networks import parts


def get_config(variant: str = "") -> ConfigDict:
    """`variant` as in base.py."""
    folder = Path(__file__).parent
    base = runpy.run_path(str(folder / "base.py"))
    config = runpy.run_path(str(folder / "base_further.py"))["get_config"](variant)
    config.unlock()
    # Flat areas of the right colour cost bits that neither distance asks for.
    config.loss.box_scales = (2.0, 8.0)
    # Judges that were not asked before: LPIPS by AlexNet alone gave away structure for texture.
    config.loss.lpips_scale = 200.0
    config.loss.lpips_vgg_scale = 450.0
    config.loss.dists_scale = 300.0
    config.stages = stages(base)
    if variant == "smoke":
        base["shrink"](config)
        for stage in config.stages:
            stage.vgg_images = 1
    config.lock()
    return config


def stages(base: dict[str, Any]) -> tuple[ConfigDict, ...]:
    """`base` has the names of base.py."""
    return (
        base["stage"](
            name="areas",
            objective="joint",
            steps=2_400,
            # Crops of 4x4 positions of z: at 128 pixels most are at a border.
            crop=256,
            batch=3,
            vgg_images=1,
            learning_rate=2e-4,
            warmup=50,
            final_rate=0.05,
            # The ends of two branches are in pixels: there Adam's full step would be a grey level.
            multipliers=dict.fromkeys(parts.SCORE, 1.0)
            | dict.fromkeys(parts.CONTEXT + parts.ENCODER, 0.5)
            | dict.fromkeys(
                ("context_decoder/residual/head", "hyperprior/analysis/residual/head"), 0.1
            )
            | dict.fromkeys(base["CODING"], 0.3)
            # The steps of the low components have far to go.
            | dict.fromkeys(parts.GAIN, 6.0),
        ),
    )
