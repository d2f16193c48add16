"""All that codec, export, training and profiling need to know of a family of networks."""

import abc
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from diffcomp.coding.latent_coder import LatentCoder
from diffcomp.params import Params
from diffcomp.tiling import Stage

if TYPE_CHECKING:
    import flax.linen as nn
    import numpy as np

    from diffcomp.diffusion.noise_schedule import SampleGrid
    from diffcomp.objectives.objective import Loss


class Architecture(abc.ABC):
    """One family. A model's configuration names it by its class attribute ARCHITECTURE.

    What coding needs of it stands in attributes. The rest are methods that import the networks when
    they are called: who runs a program that is compiled already loads no Flax.
    """

    name: ClassVar[str]
    one_rate: ClassVar[bool]  # whether a set of weights has one rate, and no realism knob
    vgg_losses: ClassVar[bool]  # whether its losses can ask VGG16, about `vgg_images` of a batch

    # Pixels of a padded picture up to which it is computed at once, and whether larger ones are
    # computed in tiles. If not, they are refused.
    whole_pixels: ClassVar[int]
    in_tiles: ClassVar[bool]

    # Whether files state areas of one colour, to the bit, beside the latents.
    flat_areas: ClassVar[bool]

    # The coding part: its class; prefixes of the parameters that it is derived from; starts of the
    # paths of which only the integers are kept.
    coder: ClassVar[type[LatentCoder]]
    coded: ClassVar[tuple[str, ...]]
    coded_layers: ClassVar[tuple[str, ...]]

    # Prefixes of the parameters that encoding an image, and decoding y_hat, read.
    encode_params: ClassVar[tuple[str, ...]]
    decode_params: ClassVar[tuple[str, ...]]

    # Prefixes of parameters: those of each part; those that never leave float32; those whose
    # gradient has a loss of its own and is left out of the clipping.
    encoder: ClassVar[tuple[str, ...]]
    hyper: ClassVar[tuple[str, ...]]
    context: ClassVar[tuple[str, ...]]
    score: ClassVar[tuple[str, ...]]
    float32: ClassVar[tuple[str, ...]]
    unclipped: ClassVar[tuple[str, ...]]

    @abc.abstractmethod
    def padded_side(self, side: int) -> int:
        """The side that the networks are given, a multiple of 64, from that of a picture."""

    def encode_stages(self, config: Any) -> tuple[Stage, ...]:
        """How tiles make "y" and "z" of the image "x"; asked only of those `in_tiles`."""
        raise NotImplementedError

    def decode_stages(self, config: Any, result: str) -> tuple[Stage, ...]:
        """How tiles make `result`, "x_hat" or "x_next", of "y_hat" and "x_t"; likewise."""
        raise NotImplementedError

    @abc.abstractmethod
    def float_twin(self, coder: Any) -> Params:
        """Parameters equal to a coder's integers, of the layers of which only these are kept."""

    @abc.abstractmethod
    def derive_coder(self, config: Any, params: Params) -> LatentCoder:
        """The coding part of a model with these parameters, float32 by path."""

    @abc.abstractmethod
    def network(self, config: Any) -> "nn.Module":
        """The module of a model's configuration.

        It has the methods of `networks.model.CompressionModel`: encode (analyze, then latents),
        rate, noisy_rate, decode_context, denoise, and `__call__`, which touches every parameter.
        """

    @abc.abstractmethod
    def sample_grid(self, config: Any, steps: int) -> "SampleGrid":
        """The noise levels that a decode of so many steps visits; ValueError for steps < 1."""

    @property
    @abc.abstractmethod
    def objectives(self) -> Mapping[str, Callable[..., "Loss"]]:
        """Losses by name: (Objective, params, x, conditions) -> Loss."""

    @abc.abstractmethod
    def perceptual(self, objective: str, loss: Any) -> bool:
        """Whether LPIPS counts in this objective, with this configuration of the loss."""

    @abc.abstractmethod
    def draw(self, model: Any, loss: Any, x: Any, key: Any, step: Any) -> Any:
        """The random conditions of a batch x at a step: what an objective is given last."""

    @abc.abstractmethod
    def file_score(
        self, loss: Any, quality: float | None, bpp: float, mse: float, distance: float
    ) -> float:
        """The loss of a decoded file, with its bits, mse (0..255) and LPIPS; less is better."""

    def linear_codec(
        self, mean: "np.ndarray", covariance: "np.ndarray", model: Any, loss: Any
    ) -> Params | None:
        """Parameters of a linear codec of patches of this mean and covariance, to start from.

        None: training starts from random parameters, and the patches are not looked at.
        """
        return None

    @property
    def starts_linear(self) -> bool:
        """Whether `linear_codec` gives parameters."""
        return type(self).linear_codec is not Architecture.linear_codec
