"""The trunk of VGG16, on which LPIPS and DISTS are built.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015, table 1, column D.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

# Convolutions in each of the five blocks, between which lie the poolings.
_BLOCKS = (2, 2, 3, 3, 3)


def vgg_activations(
    kernels: tuple[jax.Array, ...],
    biases: tuple[jax.Array, ...],
    x: jax.Array,
    pool: Callable[[jax.Array], jax.Array],
) -> list[jax.Array]:
    """Activations after the last convolution of each of VGG16's five blocks.

    Args:
      kernels, biases: of the 13 convolutions, as in `LpipsWeights`.
      x: float32 [B, H, W, 3], normalized by ImageNet's mean and standard deviation.
      pool: halves both sides, between two blocks; the network was trained with maxima.

    Returns:
      Five arrays, float32 [B, H_l, W_l, C_l] with 64, 128, 256, 512 and 512 channels.
    """
    layers = iter(zip(kernels, biases, strict=True))
    activations = []
    for num_convs in _BLOCKS:
        if activations:
            x = pool(x)
        for _ in range(num_convs):
            x = conv_relu(x, *next(layers), padding=1)
        activations.append(x)
    return activations


def conv_relu(x: jax.Array, kernel: jax.Array, bias: jax.Array, padding: int) -> jax.Array:
    """A convolution of stride 1 of [B, H, W, C] with zeros around it, a bias and a rectifier."""
    x = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding=[(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        # A metric must not depend on an accelerator's reduced default precision.
        precision=lax.Precision.HIGHEST,
    )
    return jax.nn.relu(x + bias.reshape(1, 1, 1, -1))


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Maxima of 2 x 2 positions of [B, H, W, C]; an odd last row or column is left out."""
    # On CPU the gradient of this form is several times faster than `lax.reduce_window`'s.
    batch, height, width, channels = x.shape
    rows, columns = height // 2, width // 2
    x = x[:, : 2 * rows, : 2 * columns].reshape(batch, rows, 2, columns, 2, channels)
    return jnp.max(x, axis=(2, 4))
