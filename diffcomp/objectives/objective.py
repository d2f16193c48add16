"""What every objective is given and gives back."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
from jax import Array

from diffcomp.distances.dists import DistsWeights
from diffcomp.distances.lpips_weights import LpipsWeights
from diffcomp.networks.precision import cast_params
from diffcomp.objectives.config import LossConfig
from diffcomp.params import Params, variables_of
from diffcomp.published.config import CdcLossConfig

Metrics = dict[str, Array]


class Loss(NamedTuple):
    """What is minimised, and what is written down beside it."""

    value: Array  # []
    metrics: Metrics  # each [], a mean over the batch


class Objective(NamedTuple):
    """All that a loss needs besides parameters and data."""

    network: nn.Module
    loss: LossConfig | CdcLossConfig
    float32: tuple[str, ...]  # prefixes of parameters that keep their type
    compute_dtype: str = "float32"
    lpips_weights: LpipsWeights | None = None
    lpips_vgg_weights: LpipsWeights | None = None
    dists_weights: DistsWeights | None = None
    vgg_images: int = 0  # of a batch, those of highest realism, that VGG16 looks at
    vgg_side: int = 0  # of the square in the middle of each that it sees, pixels; 0: all of it

    def bind(self, params: Params) -> Any:
        """The network with these parameters: its methods can be called as they are.

        To be used within `precision.layers_follow_params`, unless all is float32.
        """
        params = cast_params(params, self.compute_dtype, self.float32)
        return self.network.bind(variables_of(params))


def batch_means(terms: Mapping[str, Array]) -> Metrics:
    """Means over the images [B] of each term."""
    return {name: value.mean() for name, value in terms.items()}
