"""The authors' model (Yang & Mandt 2023), both variants: a set of weights has one rate."""

from diffcomp.architectures.architecture import Architecture
from diffcomp.coding import grid
from diffcomp.coding.single_pass_coder import SinglePassCoder
from diffcomp.objectives import published
from diffcomp.published import parts
from diffcomp.published.coder_derivation import single_pass_coder
from diffcomp.published.config import CdcConfig
from diffcomp.published.model import CdcModel
from diffcomp.published.schedule import published_grid

PUBLISHED = Architecture(
    name=CdcConfig.ARCHITECTURE,
    network=CdcModel,
    # Its attention sees the whole image, so it gets no more margin than it needs.
    padded_side=grid.whole_blocks,
    one_rate=True,
    sample_grid=published_grid,
    coder=SinglePassCoder,
    derive_coder=single_pass_coder,
    coded=parts.CODED,
    coded_layers=(),
    float_twin=lambda coder: {},
    objectives={"published": published.published_objective},
    perceptual=lambda objective, loss: loss.rho > 0,
    draw=published.draw_cdc_conditions,
    linear_codec=None,
    file_score=published.file_score,
    float32=parts.FLOAT32,
    unclipped=(parts.MEDIANS,),
    encoder=parts.ENCODER,
    hyper=parts.HYPER_ANALYSIS + parts.ENTROPY_MODEL,
    context=parts.CONTEXT + parts.CONTEXT_TERMS,
    score=parts.SCORE,
)
