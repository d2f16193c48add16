"""The published model (Yang & Mandt 2023) as one Flax module, for both of its variants.

x --g_a--> y --h_a--> z       z_hat = round(z - median) + median
           z_hat --h_s--> mean, scale       y_hat = mean + round(y - mean)
           y_hat --context decoder--> context maps, given to the score network in each step
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict
from jax import Array

from diffcomp.cdc_config import CdcConfig
from diffcomp.cdc_layers import ContextTerms
from diffcomp.cdc_score_network import CdcScoreNetwork
from diffcomp.cdc_transforms import (
    CdcAnalysis,
    CdcContextDecoder,
    CdcContextMaps,
    CdcHyperAnalysis,
    CdcHyperSynthesis,
)
from diffcomp.entropy_models import FactorizedPrior, gaussian_bits
from diffcomp.hyperprior import Latents, Rate
from diffcomp.model import FlatParams
from diffcomp.noise_schedule import SampleGrid, alpha_bar_at, x0_from_eps
from diffcomp.quantization import lower_bound, ste_round
from diffcomp.sampler import DenoiseFn

MIN_SCALE = 0.1  # the published lower bound of the scale of y
MAX_BITS = -math.log2(1e-9)  # of one symbol: the published floor of its probability


class CdcModel(nn.Module):
    """Call its methods by `model.apply(variables, ..., method="encode")`."""

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

    def __call__(self, x: Array, time: Array, alpha_bar: Array) -> Array:
        """Touches every parameter, for initialisation: x and x_t alike, one denoising step."""
        rate = self.rate(self.encode(x))
        terms = self.context_terms(self.decode_context(rate.y_hat))
        return self.denoise(x, time, alpha_bar, terms)

    def encode(self, x: Array) -> Latents:
        """x [B, H, W, 3] in [-1, 1], H and W multiples of 64 -> y, z."""
        y = self.analysis(x)
        return Latents(y=y, z=self.hyper_analysis(y))

    def quantize_z(self, z: Array) -> Array:
        """z_hat: rounded at integer distances from each channel's median, straight-through."""
        medians = self.medians[None, None, None]
        return ste_round(z - medians) + medians

    def entropy_parameters(self, z_hat: Array) -> tuple[Array, Array]:
        """Mean and scale of y, each [B, H/16, W/16, C], the scale at least MIN_SCALE."""
        mean, scale = self.hyper_synthesis(z_hat)
        return mean, lower_bound(scale, MIN_SCALE)

    def rate(self, latents: Latents) -> Rate:
        """Rounds y and z and estimates the bits of the integers by the published formulas."""
        z_hat = self.quantize_z(latents.z)
        mean, scale = self.entropy_parameters(z_hat)
        symbols = ste_round(latents.y - mean)
        bits_y = jnp.minimum(gaussian_bits(symbols, scale, MIN_SCALE), MAX_BITS)
        bits_z = self.prior(z_hat)
        return Rate(
            y_hat=mean + symbols,
            bits_y=jnp.sum(bits_y, axis=(1, 2, 3)),
            bits_z=jnp.sum(bits_z, axis=(1, 2, 3)),
        )

    def decode_context(self, y_hat: Array) -> CdcContextMaps:
        """y_hat [B, H/16, W/16, C] -> the context maps, from the one at full resolution on."""
        return self.context_decoder(y_hat)

    def context_terms(self, context: CdcContextMaps) -> tuple[ContextTerms, ...]:
        """Context maps -> what `denoise` takes, their part in the score network's convolutions."""
        return self.score_network.terms(context)

    def denoise(
        self, x_t: Array, time: Array, alpha_bar: Array, terms: tuple[ContextTerms, ...]
    ) -> Array:
        """One call of the score network: x_t [B, H, W, 3], time and alpha_bar [B] -> x_0 estimate.

        The estimate follows from the predicted noise or is predicted itself. Where it is clipped
        the published sampler recomputes the noise from it, and so does `sampler.ddim` always.
        """
        x0 = self.score_network(x_t, time, terms)
        if self.config.prediction == "eps":
            x0 = x0_from_eps(x_t, x0, alpha_bar[:, None, None, None])
        return jnp.clip(x0, -1, 1) if self.config.clip else x0


def denoise_fn(
    config: CdcConfig, variables: dict, terms: tuple[ContextTerms, ...], grid: SampleGrid
) -> DenoiseFn:
    """The function that `sampler.ddim` walks down `grid` (of `published_grid`) with."""
    model = CdcModel(config)

    def denoise(x_t: Array, t: Array) -> Array:
        time, alpha_bar = (jnp.full(x_t.shape[:1], v) for v in (t, alpha_bar_at(grid, t)))
        return model.apply(variables, x_t, time, alpha_bar, terms, method="denoise")

    return denoise


def init_cdc_params(config: CdcConfig, key: Array) -> FlatParams:
    """Random parameters of the model, by path such as "analysis/blocks_0/conv1/kernel"."""
    half, x = jnp.full((1,), 0.5), jnp.zeros((1, 64, 64, 3))
    variables = CdcModel(config).init(key, x, half, half)
    return flatten_dict(variables["params"], sep="/")


def cdc_shapes(config: CdcConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter, by path; computes none."""
    params = jax.eval_shape(lambda: init_cdc_params(config, jax.random.key(0)))
    return {path: value.shape for path, value in params.items()}
