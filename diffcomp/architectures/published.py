"""The authors' model (Yang & Mandt 2023), both variants: a set of weights has one rate."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from diffcomp.architectures.architecture import Architecture
from diffcomp.coding import grid
from diffcomp.coding.single_pass_coder import SinglePassCoder
from diffcomp.params import Params
from diffcomp.published import parts
from diffcomp.published.config import CdcConfig, CdcLossConfig

if TYPE_CHECKING:
    from diffcomp.diffusion.noise_schedule import SampleGrid
    from diffcomp.objectives.objective import Loss
    from diffcomp.published.model import CdcModel


class PublishedArchitecture(Architecture):
    name = CdcConfig.ARCHITECTURE
    one_rate = True
    vgg_losses = False
    whole_pixels = 2**22  # some 2.7 GB a megapixel
    in_tiles = False  # attention sees the whole picture
    flat_areas = False  # the paper's files have none
    coder = SinglePassCoder
    coded = parts.CODED
    coded_layers = ()
    encoder = parts.ENCODER
    encode_params = encoder + parts.HYPER_ANALYSIS + (parts.MEDIANS,)
    hyper = parts.HYPER_ANALYSIS + parts.ENTROPY_MODEL
    context = parts.CONTEXT + parts.CONTEXT_TERMS
    score = parts.SCORE
    decode_params = context + score + (parts.MEDIANS,)
    float32 = parts.FLOAT32
    unclipped = (parts.MEDIANS,)

    def padded_side(self, side: int) -> int:
        # The network's attention sees the whole image, so it gets no more margin than it needs.
        return grid.whole_blocks(side)

    def float_twin(self, coder: SinglePassCoder) -> Params:
        return {}

    def derive_coder(self, config: CdcConfig, params: Params) -> SinglePassCoder:
        from diffcomp.published.coder_derivation import single_pass_coder

        return single_pass_coder(params)

    def network(self, config: CdcConfig) -> "CdcModel":
        from diffcomp.published.model import CdcModel

        return CdcModel(config)

    def sample_grid(self, config: CdcConfig, steps: int) -> "SampleGrid":
        from diffcomp.published.schedule import published_grid

        return published_grid(config, steps)

    @property
    def objectives(self) -> Mapping[str, Callable[..., "Loss"]]:
        from diffcomp.objectives.published import published_objective

        return {"published": published_objective}

    def perceptual(self, objective: str, loss: CdcLossConfig) -> bool:
        return loss.rho > 0

    def draw(self, model: CdcConfig, loss: CdcLossConfig, x: Any, key: Any, step: Any) -> Any:
        from diffcomp.objectives.published import draw_cdc_conditions

        return draw_cdc_conditions(model, loss, x, key, step)

    def file_score(
        self, loss: CdcLossConfig, quality: float | None, bpp: float, mse: float, distance: float
    ) -> float:
        from diffcomp.objectives.published import file_score

        return file_score(loss, quality, bpp, mse, distance)
