"""Trains on: for structure, by MS-SSIM and mostly by VGG16's judgement.

    python launch/train.py --config=configs/base_structure.py --workdir=/tmp/structure \
        --config.data.train=folder:/path/to/photographs

base_areas.py, but for these fields. The shipped model's card says how its run differed.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict


def get_config(variant: str = "") -> ConfigDict:
    """`variant` as in base.py."""
    areas = runpy.run_path(str(Path(__file__).with_name("base_areas.py")))
    config = areas["get_config"](variant)
    config.unlock()
    # A faint pattern on a smooth ground counts as much as a strong one in the midst of detail.
    config.loss.structure_scale = 1500.0
    # The model is ahead by AlexNet's judgement and behind by VGG16's.
    config.loss.lpips_scale = 150.0
    (stage,) = config.stages
    # Parts of two crops tell VGG16 more than the whole of one, in less time.
    stage.update(name="structure", steps=3_000, vgg_images=2, vgg_side=160)
    base = runpy.run_path(str(Path(__file__).with_name("base.py")))
    return base["finished"](config, variant)
