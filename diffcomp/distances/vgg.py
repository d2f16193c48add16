"""The trunk of VGG16, on which LPIPS and DISTS are built.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015, table 1, column D.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffcomp.distances.convolution import conv_relu

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
    return vgg_later_blocks(kernels, biases, vgg_first_block(kernels, biases, x), pool)


def vgg_first_block(
    kernels: tuple[jax.Array, ...], biases: tuple[jax.Array, ...], x: jax.Array
) -> jax.Array:
    """The first of the five activations, before any pooling: float32 [B, H, W, 64]."""
    for kernel, bias in zip(kernels[: _BLOCKS[0]], biases[: _BLOCKS[0]], strict=True):
        x = conv_relu(x, kernel, bias, padding=1)
    return x


def vgg_later_blocks(
    kernels: tuple[jax.Array, ...],
    biases: tuple[jax.Array, ...],
    first: jax.Array,
    pool: Callable[[jax.Array], jax.Array],
) -> list[jax.Array]:
    """All five activations, from that of the first block on."""
    layers = iter(zip(kernels[_BLOCKS[0] :], biases[_BLOCKS[0] :], strict=True))
    activations = [first]
    for num_convs in _BLOCKS[1:]:
        x = pool(activations[-1])
        for _ in range(num_convs):
            x = conv_relu(x, *next(layers), padding=1)
        activations.append(x)
    return activations


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Maxima of 2 x 2 positions of [B, H, W, C]; an odd last row or column is left out."""
    # On CPU the gradient of this form is several times faster than `lax.reduce_window`'s.
    batch, height, width, channels = x.shape
    rows, columns = height // 2, width // 2
    x = x[:, : 2 * rows, : 2 * columns].reshape(batch, rows, 2, columns, 2, channels)
    return jnp.max(x, axis=(2, 4))
