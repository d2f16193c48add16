"""The base model cut into stages, which `tiling` computes tile by tile; needs no Flax.

How far each stage sees follows from its 3x3 convolutions, of which each sees one position further:
two in a residual block. What a stage computes stands in `staged_model`.
"""

import functools

from diffcomp.coding.grid import Y_STRIDE, Z_STRIDE
from diffcomp.networks.config import ModelConfig
from diffcomp.tiling import Stage

# Largest windows. Of the maps at 1/16 a tile has few positions, and a wide margin.
SIDE = 1088
COARSE_SIDE = 2 * SIDE


def encode_stages(config: ModelConfig) -> tuple[Stage, ...]:
    """From "x", the image, to "y" and "z"."""
    at4, at8, at16 = (2 * depth for depth in config.encoder_depths)
    stage = functools.partial(Stage, program="encode_stage")
    return (
        stage("e8", ("x",), stride=8, sight=4 * (1 + at4), side=SIDE),
        stage("e16", ("e8",), stride=16, sight=8 * at8, side=SIDE),
        stage("y", ("e16", "x"), stride=Y_STRIDE, sight=16 * (at16 + 1), side=COARSE_SIDE),
        stage("z", ("y",), stride=Z_STRIDE, sight=16 + 32, side=COARSE_SIDE, grain=Z_STRIDE),
    )


def decode_stages(config: ModelConfig, result: str) -> tuple[Stage, ...]:
    """From "y_hat" and "x_t" to `result`: the picture "x_hat", or "x_next", the next x_t."""
    at4, at8, at16 = (2 * depth for depth in config.context_depths)
    context = functools.partial(Stage, program="context_stage")
    down4, down8, middle = (2 * depth for depth in config.score_depths)
    score = functools.partial(Stage, program="score_stage")
    up = 8 * down8 + 4 * (down4 + 1)
    return (
        context("c16", ("y_hat",), stride=16, sight=16 * (1 + at16), side=COARSE_SIDE),
        context("c8", ("c16",), stride=8, sight=8 * at8, side=SIDE),
        context("c4", ("c8", "y_hat"), stride=4, sight=4 * (1 + at4), side=SIDE),
        context("base", ("c4", "y_hat"), stride=1, sight=4, side=SIDE),
        score("skip4", ("x_t", "c4", "base"), stride=4, sight=4 * (1 + down4), side=SIDE),
        score("skip8", ("skip4", "c8"), stride=8, sight=8 * down8, side=SIDE),
        score("h16", ("skip8", "c16"), stride=16, sight=16 * middle, side=SIDE),
        score(result, ("x_t", "base", "skip4", "skip8", "h16"), stride=1, sight=up, side=SIDE),
    )
