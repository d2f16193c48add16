"""The base model cut into stages, which `tiling` computes tile by tile; needs no Flax.

How far each stage sees follows from its 3x3 convolutions, of which each sees one position further:
two in a residual block. What a stage computes stands in `staged_model`.
"""

import functools

from diffcomp.coding.grid import Y_STRIDE, Z_STRIDE
from diffcomp.networks.config import ModelConfig
from diffcomp.tiling import Stage

# Largest windows. The decoder keeps some strips of seven maps, so its windows are short and wide.
# Of the maps at 1/16 a tile has few positions, and a wide margin: these are larger. WIDTH is such
# that two windows reach across 3072 pixels, the shorter side of many a phone's picture.
SIDE = 1088
STRIP, WIDTH = 768, 1600


def encode_stages(config: ModelConfig) -> tuple[Stage, ...]:
    """From "x", the image, to "y" and "z"."""
    at4, at8, at16 = (2 * depth for depth in config.encoder_depths)
    stage = functools.partial(Stage, program="encode_stage", width=SIDE, length=SIDE)
    coarse = functools.partial(stage, width=2 * SIDE, length=2 * SIDE)
    return (
        stage("e8", ("x",), stride=8, sight=4 * (1 + at4)),
        stage("e16", ("e8",), stride=16, sight=8 * at8),
        coarse("y", ("e16", "x"), stride=Y_STRIDE, sight=16 * (at16 + 1)),
        coarse("z", ("y",), stride=Z_STRIDE, sight=16 + 32, grain=Z_STRIDE),
    )


def decode_stages(config: ModelConfig, result: str) -> tuple[Stage, ...]:
    """From "y_hat" and "x_t" to `result`: the picture "x_hat", or "x_next", the next x_t."""
    at4, at8, at16 = (2 * depth for depth in config.context_depths)
    context = functools.partial(Stage, program="context_stage", width=WIDTH, length=STRIP)
    down4, down8, middle = (2 * depth for depth in config.score_depths)
    score = functools.partial(Stage, program="score_stage", width=WIDTH, length=STRIP)
    up = 8 * down8 + 4 * (down4 + 1)
    return (
        context("c16", ("y_hat",), stride=16, sight=16 * (1 + at16), width=2 * SIDE, length=SIDE),
        context("c8", ("c16",), stride=8, sight=8 * at8),
        context("c4", ("c8", "y_hat"), stride=4, sight=4 * (1 + at4)),
        context("base", ("c4", "y_hat"), stride=1, sight=4),
        score("skip4", ("x_t", "c4", "base"), stride=4, sight=4 * (1 + down4)),
        score("skip8", ("skip4", "c8"), stride=8, sight=8 * down8),
        score("h16", ("skip8", "c16"), stride=16, sight=16 * middle),
        score(result, ("x_t", "base", "skip4", "skip8", "h16"), stride=1, sight=up),
    )
