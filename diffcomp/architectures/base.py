"""This project's own model: all rates and a realism knob in one set of weights."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from diffcomp.architectures.architecture import Architecture
from diffcomp.coding import grid
from diffcomp.coding.grouped_coder import GroupedCoder
from diffcomp.networks import parts, stages
from diffcomp.networks.config import ModelConfig
from diffcomp.params import Params
from diffcomp.tiling import Stage

if TYPE_CHECKING:
    import numpy as np

    from diffcomp.diffusion.noise_schedule import SampleGrid
    from diffcomp.networks.model import CompressionModel
    from diffcomp.objectives.config import LossConfig
    from diffcomp.objectives.objective import Loss


class BaseArchitecture(Architecture):
    name = ModelConfig.ARCHITECTURE
    one_rate = False
    vgg_losses = True
    whole_pixels = 2**21  # 1.1 GB
    in_tiles = True
    flat_areas = True
    coder = GroupedCoder
    coded = parts.CODED
    coded_layers = (parts.CODED_LAYERS,)
    encoder = ("hyperprior/analysis", *parts.ENCODER)
    encode_params = encoder + parts.HYPER_ANALYSIS + parts.GAIN
    hyper = parts.HYPER_ANALYSIS + parts.CODED
    context = ("context_decoder", *parts.CONTEXT)
    score = parts.SCORE
    decode_params = context + score
    float32 = parts.FLOAT32
    unclipped = ()

    def padded_side(self, side: int) -> int:
        return grid.bucket(side)

    def encode_stages(self, config: ModelConfig) -> tuple[Stage, ...]:
        return stages.encode_stages(config)

    def decode_stages(self, config: ModelConfig, result: str) -> tuple[Stage, ...]:
        return stages.decode_stages(config, result)

    def float_twin(self, coder: GroupedCoder) -> Params:
        return coder.float_layers(parts.CODED_LAYERS)

    def derive_coder(self, config: ModelConfig, params: Params) -> GroupedCoder:
        from diffcomp.networks.coder_derivation import grouped_coder

        return grouped_coder(config, params)

    def network(self, config: ModelConfig) -> "CompressionModel":
        from diffcomp.networks.model import CompressionModel

        return CompressionModel(config)

    def sample_grid(self, config: ModelConfig, steps: int) -> "SampleGrid":
        from diffcomp.diffusion.noise_schedule import cosine_grid

        return cosine_grid(steps)

    @property
    def objectives(self) -> Mapping[str, Callable[..., "Loss"]]:
        from diffcomp.objectives import base

        return {
            "linear": base.linear_objective,
            "rate": base.rate_objective,
            "context": base.context_objective,
            "decoder": base.decoder_objective,
            "joint": base.joint_objective,
        }

    def perceptual(self, objective: str, loss: "LossConfig") -> bool:
        return objective in ("decoder", "joint")

    def draw(self, model: ModelConfig, loss: "LossConfig", x: Any, key: Any, step: Any) -> Any:
        from diffcomp.objectives.base import draw_conditions

        return draw_conditions(loss, x, key)

    def file_score(
        self, loss: "LossConfig", quality: float | None, bpp: float, mse: float, distance: float
    ) -> float:
        from diffcomp.objectives.base import file_score

        return file_score(loss, quality, bpp, mse, distance)

    def linear_codec(
        self,
        mean: "np.ndarray",
        covariance: "np.ndarray",
        model: ModelConfig,
        loss: "LossConfig",
    ) -> Params:
        from diffcomp.objectives.karhunen_loeve import linear_codec

        return linear_codec(mean, covariance, model, loss)
