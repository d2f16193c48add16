"""The published model (Yang & Mandt 2023) as one Flax module, for both of its variants.

x --g_a--> y --h_a--> z       z_hat = round(z - median) + median
           z_hat --h_s--> mean, scale       y_hat = mean + round(y - mean)
           y_hat --context decoder--> context maps, given to the score network in each step
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from diffcomp.diffusion.noise_schedule import x0_from_eps
from diffcomp.networks.entropy_models import FactorizedPrior, gaussian_bits
from diffcomp.networks.latents import Latents, Rate, sum_per_image
from diffcomp.networks.quantization import add_uniform_noise, lower_bound, ste_round
from diffcomp.published.config import CdcConfig
from diffcomp.published.layers import ContextTerms
from diffcomp.published.score_network import CdcScoreNetwork
from diffcomp.published.transforms import (
    CdcAnalysis,
    CdcContextDecoder,
    CdcContextMaps,
    CdcHyperAnalysis,
    CdcHyperSynthesis,
)

MIN_SCALE = 0.1  # the published lower bound of the scale of y
MAX_BITS = -math.log2(1e-9)  # of one symbol: the published floor of its probability


class CdcModel(nn.Module):
    """Call its methods by `model.apply(variables, ..., method="encode")`.

    It has the methods of `CompressionModel`. One set of weights has one rate and no realism knob,
    so `quality` and `realism` are there for the interface alone.
    """

    config: CdcConfig

    def setup(self) -> None:
        channels = self.config.latent_channels
        self.analysis = CdcAnalysis(self.config)
        self.hyper_analysis = CdcHyperAnalysis(self.config)
        self.medians = self.param("medians", nn.initializers.zeros, (channels,))
        self.prior = FactorizedPrior(channels)
        self.hyper_synthesis = CdcHyperSynthesis(self.config)
        self.context_decoder = CdcContextDecoder(self.config)
        self.score_network = CdcScoreNetwork(self.config)

    def __call__(self, x: Array, quality: Array, realism: Array, t: Array, key: Array) -> Array:
        """Touches every parameter, for initialisation: x and x_t alike, one denoising step."""
        rate = self.noisy_rate(self.encode(x, quality), quality, key)
        terms = self.decode_context(rate.y_hat, quality)
        return self.denoise(x, t, t, terms, quality, realism)

    def encode(self, x: Array, quality: Array) -> Latents:
        """x [B, H, W, 3] in [-1, 1], H and W multiples of 64 -> y, z."""
        return self.latents(self.analyze(x, quality))

    def analyze(self, x: Array, quality: Array) -> Array:
        """x -> y."""
        del quality
        return self.analysis(x).astype(x.dtype)

    def latents(self, y: Array) -> Latents:
        """y, and the z that stands for its statistics."""
        return Latents(y=y, z=self.hyper_analysis(y))

    def quantize_z(self, z: Array) -> Array:
        """z_hat: rounded at integer distances from each channel's median, straight-through."""
        medians = self.medians[None, None, None]
        return ste_round(z - medians) + medians

    def entropy_parameters(self, z_hat: Array) -> tuple[Array, Array]:
        """Mean and scale of y, each [B, H/16, W/16, C], the scale at least MIN_SCALE."""
        mean, scale = self.hyper_synthesis(z_hat)
        return mean, lower_bound(scale, MIN_SCALE)

    def rate(self, latents: Latents, quality: Array) -> Rate:
        """Rounds y and z and estimates the bits of the integers by the published formulas."""
        del quality
        z_hat = self.quantize_z(latents.z)
        mean, scale = self.entropy_parameters(z_hat)
        symbols = ste_round(latents.y - mean)
        return self._rate(mean + symbols, symbols, scale, z_hat)

    def noisy_rate(self, latents: Latents, quality: Array, key: Array) -> Rate:
        """The same for training: uniform noise in place of rounding in the bits, not in y_hat."""
        del quality
        key_y, key_z = jax.random.split(key)
        mean, scale = self.entropy_parameters(self.quantize_z(latents.z))
        y_hat = mean + ste_round(latents.y - mean)
        v = add_uniform_noise(latents.y, key_y) - mean
        return self._rate(y_hat, v, scale, add_uniform_noise(latents.z, key_z))

    def _rate(self, y_hat: Array, v: Array, scale: Array, z_observed: Array) -> Rate:
        """v is what is coded of y, less its mean."""
        bits_y = jnp.minimum(gaussian_bits(v, scale, MIN_SCALE), MAX_BITS)
        bits_z = self.prior(z_observed)
        return Rate(y_hat=y_hat, bits_y=sum_per_image(bits_y), bits_z=sum_per_image(bits_z))

    def median_logits(self) -> Array:
        """Logit of the prior's cumulative distribution at the medians, [C]: 0 when these fit."""
        return self.prior.logits(self.medians)

    def context_maps(self, y_hat: Array) -> CdcContextMaps:
        """y_hat [B, H/16, W/16, C] -> the context maps, from the one at full resolution on."""
        return self.context_decoder(y_hat)

    def decode_context(self, y_hat: Array, quality: Array) -> tuple[ContextTerms, ...]:
        """y_hat -> what `denoise` takes: the maps' part in the score network's convolutions."""
        del quality
        return self.score_network.terms(self.context_maps(y_hat))

    def predict(self, x_t: Array, t: Array, terms: tuple[ContextTerms, ...]) -> Array:
        """What the score network says: of x_0, or of the noise, by `config.prediction`."""
        return self.score_network(x_t, t, terms).astype(x_t.dtype)

    def denoise(
        self,
        x_t: Array,
        t: Array,
        alpha_bar: Array,
        context: tuple[ContextTerms, ...],
        quality: Array,
        realism: Array,
    ) -> Array:
        """One call of the score network: x_t [B, H, W, 3], t and alpha_bar [B] -> x_0 estimate.

        The estimate follows from the predicted noise or is predicted itself. Where it is clipped
        the published sampler recomputes the noise from it, and so does `sampler.ddim` always.
        """
        del quality, realism
        x0 = self.x0_estimate(self.predict(x_t, t, context), x_t, alpha_bar)
        return jnp.clip(x0, -1, 1) if self.config.clip else x0

    def x0_estimate(self, prediction: Array, x_t: Array, alpha_bar: Array) -> Array:
        """The image that a prediction at level alpha_bar [B] means."""
        if self.config.prediction == "x0":
            return prediction
        return x0_from_eps(x_t, prediction, alpha_bar[:, None, None, None])
