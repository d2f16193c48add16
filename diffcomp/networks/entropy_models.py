"""Probability models of the integers that are coded: bits, as training estimates them."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import log_ndtr

from diffcomp.coding.cdf_tables import SMALLEST_SCALE
from diffcomp.networks.quantization import lower_bound

HIDDEN = (3, 3, 3)  # widths of the density network, as in the paper
SPREAD = 10.0  # initial deviation of the density, in quantisation steps


def gaussian_bits(v: Array, scale: Array, min_scale: float = SMALLEST_SCALE) -> Array:
    """-log2 of N(0, scale^2) * U(-1/2, 1/2) at v (Minnen et al. 2018, eq. 2), elementwise.

    v is a value less its mean and scale a deviation >= min_scale (smaller ones are raised to it),
    both in quantisation steps. Works in logarithms, so the gradient is alive in the far tails.
    """
    scale = lower_bound(scale, min_scale)
    v = jnp.abs(v)
    upper, lower = log_ndtr((0.5 - v) / scale), log_ndtr((-0.5 - v) / scale)
    return -(upper + jnp.log1p(-jnp.exp(lower - upper))) / jnp.log(2.0)


class FactorizedPrior(nn.Module):
    """Non-parametric density of z, one per channel (Ballé et al. 2018, appendix 6.1)."""

    channels: int

    def setup(self) -> None:
        widths = (1, *HIDDEN, 1)
        scale = SPREAD ** (1 / (len(widths) - 1))
        layers = []
        for i, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
            start = jnp.log(jnp.expm1(1 / scale / n_out))
            matrix = self.param(
                f"matrix{i}", nn.initializers.constant(start), (self.channels, n_out, n_in)
            )
            bias = self.param(f"bias{i}", _uniform_half, (self.channels, n_out))
            factor = None
            if i < len(widths) - 2:
                factor = self.param(f"factor{i}", nn.initializers.zeros, (self.channels, n_out))
            layers.append((matrix, bias, factor))
        self.layers = tuple(layers)

    def logits(self, z: Array) -> Array:
        """Logit of the cumulative distribution at z [..., channels], the same shape."""
        h = z[..., None]  # [..., channels, width]
        for matrix, bias, factor in self.layers:
            h = jnp.einsum("...ci,coi->...co", h, jax.nn.softplus(matrix)) + _lift(bias, h.ndim)
            if factor is not None:
                h = h + _lift(jnp.tanh(factor), h.ndim) * jnp.tanh(h)
        return h[..., 0]

    def __call__(self, z: Array) -> Array:
        """Bits of each element of z [..., channels]: -log2(F(z + 1/2) - F(z - 1/2))."""
        lower, upper = self.logits(z - 0.5), self.logits(z + 0.5)
        # F(a) - F(b) loses all digits when both are close to 1: there, use the other tail.
        # (Not by jnp.sign: it is 0, and p with it, where the two are equally far from 1/2.)
        sign = jnp.where(jax.lax.stop_gradient(lower + upper) > 0, -1.0, 1.0)
        p = jnp.abs(jax.nn.sigmoid(sign * upper) - jax.nn.sigmoid(sign * lower))
        return -jnp.log2(jnp.maximum(p, 1e-9))


def _uniform_half(key: Array, shape: tuple[int, ...]) -> Array:
    return jax.random.uniform(key, shape, minval=-0.5, maxval=0.5)


def _lift(parameter: Array, ndim: int) -> Array:
    return parameter.reshape((1,) * (ndim - parameter.ndim) + parameter.shape)
