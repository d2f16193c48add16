"""A stage of training of a hundred steps, with whatever a test wants otherwise."""

import dataclasses

from diffcomp.training.config import StageConfig


def stage(**changes):
    base = StageConfig(
        name="score",
        objective="decoder",
        steps=100,
        batch=2,
        accumulate=1,
        crop=64,
        vgg_images=0,
        vgg_side=0,
        learning_rate=0.02,
        warmup=10,
        schedule="cosine",
        final_rate=0.3,
        stair_steps=20,
        stair_factor=0.5,
        multipliers={"a": 1.0},
    )
    return dataclasses.replace(base, **changes)
