"""The whole base model as one Flax module: hyperprior, context decoder and score network.

Every family of networks has a module with these methods; see `architectures`.
"""

import flax.linen as nn
from jax import Array

from diffcomp.coding.quality import normalized_quality
from diffcomp.networks.config import ModelConfig
from diffcomp.networks.hyperprior import Hyperprior
from diffcomp.networks.latents import Latents, Rate
from diffcomp.networks.layers import Conditioning
from diffcomp.networks.score_network import ScoreNetwork
from diffcomp.networks.transforms import ContextDecoder, ContextMaps


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
        """x [B, H, W, 3] in [-1, 1], H and W multiples of 64; quality [B] in [1, 8] -> y, z."""
        return self.latents(self.analyze(x, quality))

    def encode_linear(self, x: Array) -> Latents:
        """x [B, H, W, 3] -> y, z by the linear path alone."""
        return self.latents(self.analyze_linear(x))

    def analyze(self, x: Array, quality: Array) -> Array:
        """x -> y; see `Hyperprior.analyze`."""
        return self.hyperprior.analyze(x, quality)

    def analyze_linear(self, x: Array) -> Array:
        """x -> y by the linear path alone."""
        return self.hyperprior.analyze_linear(x)

    def latents(self, y: Array) -> Latents:
        """y -> y, z; see `Hyperprior.latents`."""
        return self.hyperprior.latents(y)

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
