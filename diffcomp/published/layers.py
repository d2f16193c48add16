"""The blocks of the published model (Yang & Mandt 2023), [B, H, W, C] in and out.

Parameters are the published ones, up to the order of their axes. The arithmetic is rearranged
where that is exact, but for float rounding, and was measured to be faster on a CPU:

- a transposed convolution is a plain one to four times the channels, then depth-to-space;
- a convolution to a few channels computes the rows of its kernel apart and adds them up;
- linear attention multiplies small matrices before it touches the pixels;
- a block applies its first convolution to constant channels once, not in each step.

Strided convolutions are left as they are: as space-to-depth and a plain one they were slower.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from diffcomp.coding.single_pass_coder import SLOPE
from diffcomp.coding.space_to_depth import depth_to_space

NARROW = 8  # a convolution to fewer channels is a matrix product too thin to be fast


def leaky_relu(h: Array) -> Array:
    """h, or SLOPE * h below zero: the slope that files are coded with."""
    return nn.leaky_relu(h, SLOPE)


def layer_norm() -> nn.LayerNorm:
    """Normalisation over the channels of each position, with gain and offset."""
    return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False)


def convolve(x: Array, kernel: Array, margin: int) -> Array:
    """Cross-correlation with kernel [side, side, C_in, C_out], x padded by `margin` zeros."""
    side, _, n_in, n_out = kernel.shape
    padding = ((margin, margin), (margin, margin))
    if n_out < NARROW and side > 1:
        kernel = kernel.transpose(1, 2, 0, 3).reshape(1, side, n_in, side * n_out)
    y = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    if kernel.shape[0] == side:
        return y
    height = y.shape[1] - side + 1
    rows = jnp.split(y, side, axis=-1)
    return sum(row[:, i : i + height] for i, row in enumerate(rows))


class Conv(nn.Module):
    """A convolution that keeps the size, side odd; its input channels may come in two parts."""

    n_in: int
    n_out: int
    side: int

    def setup(self) -> None:
        shape = (self.side, self.side, self.n_in, self.n_out)
        self.kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        self.bias = self.param("bias", nn.initializers.zeros, (self.n_out,))

    def __call__(self, x: Array) -> Array:
        """x [B, H, W, n_in], or only its first channels: what `part` gives is then to be added."""
        return self.part(x, 0) + self.bias[None, None, None]

    def part(self, x: Array, start: int) -> Array:
        """What the input channels from `start` on, x, contribute; without bias."""
        kernel = self.kernel[:, :, start : start + x.shape[-1]]
        return convolve(x, kernel, self.side // 2)


class UpConv(nn.Module):
    """Transposed convolution of stride 2: [B, H, W, C] -> [B, 2 H, 2 W, n_out].

    out[o] = sum_i x[i] kernel[o - 2 i + (side - 1) // 2] along each axis: sides 4 and 5 with
    paddings 1 and 2 in the published model.
    """

    n_out: int
    side: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.side, self.side, x.shape[-1], self.n_out)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.n_out,))
        taps = subpixel_kernel(kernel)
        whole = depth_to_space(convolve(x, taps, taps.shape[0] - 1), 2)
        first = (self.side - 1) // 2
        height, width = first + 2 * x.shape[1], first + 2 * x.shape[2]
        return whole[:, first:height, first:width] + bias[None, None, None]


def subpixel_kernel(kernel: Array) -> Array:
    """Kernel of a transposed convolution of stride 2 -> of a plain one before depth-to-space.

    [side, side, C_in, C_out] -> [taps, taps, C_in, 4 C_out], taps = ceil(side / 2), the output
    channels in the order of `depth_to_space`. Padded by taps - 1 it gives every output that a
    value of the input reaches, from kernel[0] of the first on.
    """
    side, _, n_in, n_out = kernel.shape
    taps = -(-side // 2)
    odd = 2 * taps - side
    kernel = jnp.pad(kernel, ((0, odd), (0, odd), (0, 0), (0, 0)))
    # Index 2 a + phase multiplies the input a positions back.
    kernel = kernel.reshape(taps, 2, taps, 2, n_in, n_out)[::-1, :, ::-1]
    return kernel.transpose(0, 2, 4, 1, 3, 5).reshape(taps, taps, n_in, 4 * n_out)


class ContextTerms(NamedTuple):
    """What constant channels add to a residual block."""

    conv: Array  # [B, H, W, n_out], to its first convolution
    skip: Array  # to its skip path: [B, H, W, n_out], or the channels themselves without a 1x1


class ResnetBlock(nn.Module):
    """Two convolutions, each before layer normalisation and ReLU, around a skip path.

    The skip path is a 1x1 convolution where the number of channels changes. With `large` the
    first convolution is 7x7 rather than 3x3; with `timed` a time embedding is added after it.
    """

    n_in: int
    n_out: int
    large: bool = False
    timed: bool = False

    def setup(self) -> None:
        self.conv1 = Conv(self.n_in, self.n_out, 7 if self.large else 3)
        self.norm1 = layer_norm()
        self.time = nn.Dense(self.n_out) if self.timed else None
        self.conv2 = Conv(self.n_out, self.n_out, 3)
        self.norm2 = layer_norm()
        self.skip = Conv(self.n_in, self.n_out, 1) if self.n_in != self.n_out else None

    def terms(self, context: Array) -> ContextTerms:
        """The part of the last input channels, context [B, H, W, C], for use with the others."""
        start = self.n_in - context.shape[-1]
        skip = context if self.skip is None else self.skip.part(context, start)
        return ContextTerms(conv=self.conv1.part(context, start), skip=skip)

    def __call__(
        self, h: Array, e: Array | None = None, terms: ContextTerms | None = None
    ) -> Array:
        """h [B, H, W, n_in less what `terms` stands for], e [B, E] -> [B, H, W, n_out]."""
        u = self.conv1(h)
        residual = h if self.skip is None else self.skip(h)
        if terms is not None:
            u = u + terms.conv
            if self.skip is None:
                residual = jnp.concatenate([residual, terms.skip], axis=-1)
            else:
                residual = residual + terms.skip
        u = nn.relu(self.norm1(u))
        if e is not None:
            u = u + self.time(leaky_relu(e))[:, None, None]
        return nn.relu(self.norm2(self.conv2(u))) + residual


class LinearAttention(nn.Module):
    """h + attention(layer_norm(h)), one head as wide as h, linear in the number of pixels.

    Queries q, keys k and values v are linear in the normalised pixels u, and k goes through a
    softmax over the pixels. The published order of products is (q (k^T v)) out, with q, k and v
    of all pixels; u (W_q ((k^T u) W_v) out) is the same and takes three such products, not six.
    """

    @nn.compact
    def __call__(self, h: Array) -> Array:
        batch, height, width, channels = h.shape
        init = nn.initializers.lecun_normal()
        qkv = self.param("qkv", init, (channels, 3 * channels))
        out = self.param("out", init, (channels, channels))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        w_q, w_k, w_v = jnp.split(qkv, 3, axis=1)

        norm = nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name="norm")
        u = norm(h).reshape(batch, height * width, channels)
        # Over all pixels, in float32 whatever the networks compute in.
        k = jax.nn.softmax((u @ w_k).astype(jnp.float32), axis=1).astype(u.dtype)
        context = jnp.einsum("bnd,bnc->bdc", k, u) @ w_v
        mixed = u @ (channels**-0.5 * w_q @ context @ out) + bias[None, None]
        return h + mixed.reshape(h.shape)
