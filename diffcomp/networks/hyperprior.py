"""From image to latents and their rate: analysis, gains, hyperprior. The float side of the coder.

    x --g_a--> y --h_a--> z --round--> z_hat --h_s--> mean, scale of y
               y_hat = mean + step * round((y - mean) / step), step = change(z_hat) / gain(quality)

One model serves all rates: a real-valued quality in [1, 8] picks one gain per channel of y.
The file's integers are made by `latent_coder`, from tables and integers derived from this.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from diffcomp.coding.quality import normalized_quality
from diffcomp.networks.config import ModelConfig
from diffcomp.networks.entropy_models import FactorizedPrior, gaussian_bits
from diffcomp.networks.entropy_network import FloatLayers
from diffcomp.networks.latents import Latents, Rate, sum_per_image
from diffcomp.networks.layers import Conditioning
from diffcomp.networks.quality_knots import interpolate_knots
from diffcomp.networks.quantization import add_uniform_noise, quantize, ste_round
from diffcomp.networks.transforms import AnalysisTransform, HyperAnalysis


class Hyperprior(nn.Module):
    """Everything between the image and the bits."""

    config: ModelConfig

    def setup(self) -> None:
        shape = (self.config.quality_knots, self.config.latent_channels)
        self.log2_gain = self.param("log2_gain", nn.initializers.zeros, shape)
        self.conditioning = Conditioning(self.config.condition_width)
        self.analysis = AnalysisTransform(self.config)
        self.hyper_analysis = HyperAnalysis(self.config)
        self.parameters = FloatLayers(self.config)
        self.prior = FactorizedPrior(self.config.hyper_channels)

    def analyze(self, x: Array, quality: Array) -> Array:
        """x [B, H, W, 3] in [-1, 1], H and W multiples of 64; quality [B] in [1, 8] -> y."""
        return self.analysis(x, self.conditioning((normalized_quality(quality),)))

    def analyze_linear(self, x: Array) -> Array:
        """The same without the residual branch: the codec that training starts from."""
        return self.analysis.linear(x)

    def latents(self, y: Array) -> Latents:
        """y, and the z that stands for its statistics."""
        return Latents(y=y, z=self.hyper_analysis(y))

    def step(self, quality: Array) -> Array:
        """Quantisation step of each channel of y where z_hat does not change it: [B] -> [B, C]."""
        return jnp.exp2(-interpolate_knots(self.log2_gain, quality))

    def rate(self, latents: Latents, quality: Array) -> Rate:
        """Rounds y and z and estimates the bits of the integers, as a file would hold them."""
        return self._rate(latents, quality, ste_round(latents.z))

    def noisy_rate(self, latents: Latents, quality: Array, key: Array) -> Rate:
        """The same with noise in place of rounding in the bits of z, for training.

        The bits of y are those of rounded values, with straight-through gradients: most elements
        of y are all but certain to be 0, and noise would charge each of them 1/8 of a bit.
        """
        return self._rate(latents, quality, add_uniform_noise(latents.z, key))

    def _rate(self, latents: Latents, quality: Array, z_observed: Array) -> Rate:
        y, z = latents
        bits_z = self.prior(z_observed)
        step = self.step(quality)[:, None, None, :]
        parameters, step = self.parameters(ste_round(z), y, step, quality)
        y_hat, symbols = quantize(y, parameters, step)
        log2_scale = jnp.split(parameters, 2, axis=-1)[1]
        bits_y = gaussian_bits(symbols, jnp.exp2(log2_scale) / step)
        return Rate(y_hat=y_hat, bits_y=sum_per_image(bits_y), bits_z=sum_per_image(bits_z))
