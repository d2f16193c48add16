"""This project's own model: all rates and a realism knob in one set of weights."""

from diffcomp.architectures.architecture import Architecture
from diffcomp.coding import grid
from diffcomp.coding.checkerboard_coder import CheckerboardCoder
from diffcomp.diffusion.noise_schedule import cosine_grid
from diffcomp.networks import coder_derivation, parts
from diffcomp.networks.config import ModelConfig
from diffcomp.networks.model import CompressionModel
from diffcomp.objectives import base
from diffcomp.objectives.karhunen_loeve import linear_codec

BASE = Architecture(
    name=ModelConfig.ARCHITECTURE,
    network=CompressionModel,
    padded_side=grid.bucket,
    one_rate=False,
    sample_grid=lambda config, steps: cosine_grid(steps),
    coder=CheckerboardCoder,
    derive_coder=coder_derivation.checkerboard_coder,
    coded=parts.CODED,
    coded_layers=(parts.CODED_LAYERS,),
    float_twin=coder_derivation.float_twin,
    objectives={
        "linear": base.linear_objective,
        "context": base.context_objective,
        "decoder": base.decoder_objective,
        "joint": base.joint_objective,
    },
    perceptual=lambda objective, loss: objective in ("decoder", "joint"),
    draw=lambda model, loss, x, key, step: base.draw_conditions(loss, x, key),
    linear_codec=linear_codec,
    file_score=base.file_score,
    float32=parts.FLOAT32,
    unclipped=(),
    encoder=("hyperprior/analysis", *parts.ENCODER),
    hyper=parts.HYPER_ANALYSIS + parts.CODED,
    context=("context_decoder", *parts.CONTEXT),
    score=parts.SCORE,
)
