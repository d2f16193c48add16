"""The whole model as one Flax module: hyperprior, context decoder and score network."""

import flax.linen as nn
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array

from diffcomp.config import ModelConfig
from diffcomp.hyperprior import Hyperprior, Latents, Rate, normalized_quality
from diffcomp.layers import Conditioning
from diffcomp.noise_schedule import alpha_bar_cosine
from diffcomp.score_network import ScoreNetwork
from diffcomp.transforms import ContextDecoder, ContextMaps


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
        return self.denoise(x, t, context, quality, realism)

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
        self, x_t: Array, t: Array, context: ContextMaps, quality: Array, realism: Array
    ) -> Array:
        """One call of the score network: x_t [B, H, W, 3], t [B] in [0, 1] -> x_0 estimate."""
        e = self.score_conditioning((normalized_quality(quality), realism, t))
        return self.score_network(x_t, alpha_bar_cosine(t), context, e)


FlatParams = dict[str, Array]  # path such as "hyperprior/analysis/basis" -> array


def init_params(config: ModelConfig, key: Array) -> FlatParams:
    """Random parameters of the model, by path."""
    one = jnp.ones((1,))
    x = jnp.zeros((1, 64, 64, 3))
    variables = CompressionModel(config).init(key, x, one, one, one, key)
    return flatten_dict(variables["params"], sep="/")


def variables_of(params: FlatParams) -> dict:
    """Parameters by path -> the tree that `CompressionModel.apply` takes."""
    return {"params": unflatten_dict(params, sep="/")}
