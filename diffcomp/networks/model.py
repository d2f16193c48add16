"""The whole model as one Flax module: hyperprior, context decoder and score network.

Two architectures have the same methods: the base model, here, and the published one, `CdcModel`.
Codec, export and training get theirs from `network(config)` and know no difference.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array

from diffcomp.config import ModelConfig
from diffcomp.diffusion.noise_schedule import SampleGrid, cosine_grid, published_grid
from diffcomp.networks.hyperprior import Hyperprior, Latents, Rate, normalized_quality
from diffcomp.networks.layers import Conditioning
from diffcomp.networks.score_network import ScoreNetwork
from diffcomp.networks.transforms import ContextDecoder, ContextMaps
from diffcomp.published.config import CdcConfig
from diffcomp.published.model import CdcModel


class CompressionModel(nn.Module):
    """Call its methods by `model.apply(variables, ..., method="encode")`."""

    config: ModelConfig

    def setup(self) -> None:
        self.hyperprior = Hyperprior(self.config)
        self.context_conditioning = Conditioning(self.config.condition_width)
        self.context_decoder = ContextDecoder(self.config)
        self.score_conditioning = Conditioning(self.config.condition_width)
        self.score_network = ScoreNetwork(self.config)

    def __call__(self, x: Array, quality: Array, realism: Array, t: Array, key: Array) -> Array:
        """Touches every parameter, for initialisation: x and x_t alike, one denoising step."""
        rate = self.noisy_rate(self.encode(x, quality), quality, key)
        context = self.decode_context(rate.y_hat, quality)
        return self.denoise(x, t, t, context, quality, realism)

    def encode(self, x: Array, quality: Array) -> Latents:
        """x [B, H, W, 3] -> y, z; see `Hyperprior.encode`."""
        return self.hyperprior.encode(x, quality)

    def encode_linear(self, x: Array) -> Latents:
        """x [B, H, W, 3] -> y, z by the linear path alone."""
        return self.hyperprior.encode_linear(x)

    def rate(self, latents: Latents, quality: Array) -> Rate:
        """y_hat and the estimated bits; see `Hyperprior.rate`."""
        return self.hyperprior.rate(latents, quality)

    def noisy_rate(self, latents: Latents, quality: Array, key: Array) -> Rate:
        """The same for training; see `Hyperprior.noisy_rate`."""
        return self.hyperprior.noisy_rate(latents, quality, key)

    def decode_linear(self, y_hat: Array) -> Array:
        """y_hat -> the linear reconstruction [B, H, W, 3]."""
        return self.context_decoder.linear(y_hat)

    def decode_context(self, y_hat: Array, quality: Array) -> ContextMaps:
        """y_hat [B, H/16, W/16, C], quality [B] -> context maps and base reconstruction."""
        e = self.context_conditioning((normalized_quality(quality),))
        return self.context_decoder(y_hat, e)

    def denoise(
        self,
        x_t: Array,
        t: Array,
        alpha_bar: Array,
        context: ContextMaps,
        quality: Array,
        realism: Array,
    ) -> Array:
        """One call of the score network: x_t [B, H, W, 3], t and alpha_bar [B] -> x_0 estimate."""
        e = self.score_conditioning((normalized_quality(quality), realism, t))
        return self.score_network(x_t, alpha_bar, context, e)


FlatParams = dict[str, Array]  # path such as "hyperprior/analysis/basis" -> array
Architecture = ModelConfig | CdcConfig


def network(config: Architecture) -> nn.Module:
    """The module of the configuration."""
    return CdcModel(config) if isinstance(config, CdcConfig) else CompressionModel(config)


def sample_grid(config: Architecture, steps: int) -> SampleGrid:
    """The noise levels that a decode of so many steps visits; ValueError unless steps >= 1."""
    if isinstance(config, CdcConfig):
        return published_grid(config, steps)
    return cosine_grid(steps)


def init_params(config: Architecture, key: Array) -> FlatParams:
    """Random parameters of the model, by path."""
    half = jnp.full((1,), 0.5)
    x = jnp.zeros((1, 64, 64, 3))
    variables = network(config).init(key, x, 1 + half, half, half, key)
    return flatten_dict(variables["params"], sep="/")


def param_shapes(config: Architecture) -> dict[str, jax.ShapeDtypeStruct]:
    """Shape and dtype of every parameter, by path; computes none."""
    return jax.eval_shape(lambda: init_params(config, jax.random.key(0)))


def variables_of(params: FlatParams) -> dict:
    """Parameters by path -> the tree that a module's `apply` takes."""
    return {"params": unflatten_dict(params, sep="/")}
