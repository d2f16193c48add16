"""Trains on from the shipped model: for colours of areas, and by VGG16's judgement.

    python launch/train.py --config=configs/base_areas.py --workdir=/tmp/areas \
        --config.data.train=folder:/path/to/photographs

base_further.py, but for these fields. The shipped model's card says how its run differed.
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
    # Flat areas of the right colour cost bits that neither distance asks for.
    config.loss.box_scales = (2.0, 8.0)
    # Judges that were not asked before: LPIPS by AlexNet alone gave away structure for texture.
    config.loss.lpips_scale = 200.0
    config.loss.lpips_vgg_scale = 450.0
    config.loss.dists_scale = 300.0
    areas = base["stage"](
        name="areas",
        objective="joint",
        steps=1_400,
        # Crops of 4x4 positions of z: at 128 pixels most are at a border.
        crop=256,
        batch=3,
        vgg_images=1,
        learning_rate=3e-4,
        warmup=50,
        final_rate=0.05,
        # The decoder has furthest to go, where the entropy model has changed.
        multipliers=further["joint_multipliers"](base) | dict.fromkeys(parts.ENCODER, 0.3),
    )
    config.stages = (areas,)
    return base["finished"](config, variant)
