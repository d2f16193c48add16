"""LPIPS, the learned perceptual distance, as pure JAX functions.

LPIPS compares two images by the activations they cause in a network trained on ImageNet: at five
depths each position's activation is scaled to unit length, the squared differences are weighted
per channel by a head fitted to human judgements, and the five spatial averages are added.

Source: Zhang, Isola, Efros, Shechtman and Wang, "The Unreasonable Effectiveness of Deep Features
as a Perceptual Metric", CVPR 2018, equation 1. For its weights see `lpips_weights`.

A trainer that sees each reference once computes `lpips(weights, x, x_hat)`. One that compares a
reference with several reconstructions computes `lpips_features(weights, x)` once and then
`lpips_distance` for each. `lpips_of_images` judges 8-bit images one by one.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from diffcomp.coding.space_to_depth import space_to_depth
from diffcomp.distances.convolution import conv_relu
from diffcomp.distances.lpips_weights import TRUNKS, LpipsWeights, load_lpips
from diffcomp.distances.vgg import max_pool_2x2, vgg_activations
from diffcomp.pixels import to_float

Features = tuple[jax.Array, ...]

# Mean and standard deviation of ImageNet's RGB, carried over to images in [-1, 1].
_MEAN = np.float32([-0.030, -0.088, -0.188]).reshape(1, 1, 1, 3)
_STD = np.float32([0.458, 0.448, 0.450]).reshape(1, 1, 1, 3)

# Added to the length of an activation before dividing by it, as the published metric does.
_LENGTH_EPSILON = 1e-10
# Squared length below which an activation counts as zero: the derivative of the square root is
# infinite at 0. The unit vector is off by less than 1e-8 there.
_ZERO_SQUARED_LENGTH = 1e-36


def lpips(weights: LpipsWeights, x: jax.Array, x_hat: jax.Array) -> jax.Array:
    """LPIPS distance of each pair of images; 0 for identical images, larger is worse.

    Differentiable in both images: the gradient is finite everywhere, 0 at identical images.

    Args:
      weights: from `load_lpips`.
      x, x_hat: float32 [B, H, W, 3] in [-1, 1], both sides at least 31 ("alex") or 16 ("vgg").

    Returns:
      float32 [B], not averaged over the batch.

    Raises:
      ValueError: if the shapes differ, or an image breaks the rules above.
    """
    check_same_shape(x, x_hat)
    return lpips_distance(weights, lpips_features(weights, x), lpips_features(weights, x_hat))


def lpips_features(weights: LpipsWeights, x: jax.Array) -> Features:
    """Unit-length activations of float32 images [B, H, W, 3] in [-1, 1] at five depths.

    Returns:
      Five arrays, float32 [B, H_l, W_l, C_l], whose vectors along the last axis have length 1, or
      0 where no channel is active.

    Raises:
      ValueError: if `x` has another shape or dtype, or is too small for the trunk.
    """
    _check_input(weights.net, x)
    if weights.net == "vgg":
        activations = vgg_features(weights, x)
    else:
        activations = _alex_trunk(weights, normalized(x))
    return unit_length(activations)


def normalized(x: jax.Array) -> jax.Array:
    """Images in [-1, 1] by ImageNet's mean and deviation, as both trunks take them."""
    return (x - _MEAN) / _STD


def unit_length(activations: Sequence[jax.Array]) -> Features:
    """Activations [B, H_l, W_l, C_l], each position's vector scaled to length 1 unless it is 0."""
    return tuple(_unit_length(f) for f in activations)


def vgg_features(weights: LpipsWeights, x: jax.Array) -> Features:
    """VGG16's activations at five depths, as the network has them, of images as `lpips` takes.

    Raises:
      ValueError: for images that `lpips` refuses, or weights of another net than "vgg".
    """
    if weights.net != "vgg":
        raise ValueError(f"weights are of the net {weights.net!r}; they must be of 'vgg'.")
    _check_input(weights.net, x)
    return tuple(vgg_activations(weights.kernels, weights.biases, normalized(x), max_pool_2x2))


def lpips_distance(weights: LpipsWeights, features: Features, features_hat: Features) -> jax.Array:
    """LPIPS distance, float32 [B], of two results of `lpips_features` with the same weights."""
    distance = jnp.zeros(features[0].shape[0], jnp.float32)
    for head, f, f_hat in zip(weights.heads, features, features_hat, strict=True):
        distance += jnp.mean(jnp.square(f - f_hat) @ head, axis=(1, 2))
    return distance


# The weights are an argument: as a constant they would be compiled in.
_compiled_features = jax.jit(lpips_features)
_compiled_distance = jax.jit(lpips_distance)


def lpips_of_images(net: str, image: np.ndarray, reference: np.ndarray) -> float:
    """LPIPS distance of two 8-bit images; 0 for identical images, larger is worse.

    What the network makes of the last reference is kept, so that a reference that is compared with
    several images in a row is looked at once: 190 MB of a 768 x 512 image for "vgg".

    Args:
      net: "alex" or "vgg".
      image, reference: uint8 [H, W, 3], both sides at least 31 ("alex") or 16 ("vgg").

    Raises:
      ValueError: for another net, if the shapes differ, or an image is too small.
      ImportError: if the weights are not installed; see `load_lpips`.
    """
    check_same_shape(image, reference)
    weights = load_lpips(net)
    expected = _features_of_references(net)(reference.tobytes(), reference.shape)
    features = _compiled_features(weights, to_float(image[None]))
    return float(_compiled_distance(weights, features, expected)[0])


@functools.cache
def _features_of_references(net: str) -> Callable[[bytes, tuple[int, ...]], Features]:
    """A function of uint8 pixels and their shape; each net's own keeps its own last result."""

    @functools.lru_cache(maxsize=1)
    def features_of(pixels: bytes, shape: tuple[int, ...]) -> Features:
        image = np.frombuffer(pixels, np.uint8).reshape(1, *shape)
        return _compiled_features(load_lpips(net), to_float(image))

    return features_of


def check_images(metric: str, minimum: int, x: jax.Array) -> None:
    """Raises ValueError unless x is float32 [B, H, W, 3] with both sides at least `minimum`."""
    if x.ndim != 4 or x.shape[-1] != 3 or x.dtype != jnp.float32:
        raise ValueError(f"images are {x.dtype} {x.shape}; they must be float32 [B, H, W, 3].")
    height, width = x.shape[1:3]
    if min(height, width) < minimum:
        raise ValueError(
            f"images are {height}x{width} pixels; {metric} needs at least {minimum}x{minimum}."
        )


def check_same_shape(x: jax.Array | np.ndarray, x_hat: jax.Array | np.ndarray) -> None:
    """Raises ValueError for images, or batches of them, that cannot be compared one by one."""
    if x.shape != x_hat.shape:
        raise ValueError(f"x has shape {x.shape} and x_hat {x_hat.shape}; they must be equal.")


def _check_input(net: str, x: jax.Array) -> None:
    check_images(f"LPIPS with net {net!r}", TRUNKS[net].minimum_size, x)


def _unit_length(f: jax.Array) -> jax.Array:
    squared_length = jnp.sum(jnp.square(f), axis=-1, keepdims=True)
    is_zero = squared_length < _ZERO_SQUARED_LENGTH
    # Replaced before the square root: masked after it, an infinite derivative would become NaN.
    length = jnp.sqrt(jnp.where(is_zero, 1.0, squared_length))
    return jnp.where(is_zero, 0.0, f / (length + _LENGTH_EPSILON))


def _alex_trunk(weights: LpipsWeights, x: jax.Array) -> list[jax.Array]:
    """Activations after each of AlexNet's five convolutions."""
    layers = list(zip(weights.kernels, weights.biases, strict=True))
    features = [conv_relu(_blocks_of_stride_4(x), *layers[0], padding=0)]
    features.append(conv_relu(_max_pool_3x3_stride_2(features[-1]), *layers[1], padding=2))
    features.append(conv_relu(_max_pool_3x3_stride_2(features[-1]), *layers[2], padding=1))
    features.append(conv_relu(features[-1], *layers[3], padding=1))
    features.append(conv_relu(features[-1], *layers[4], padding=1))
    return features


def _max_pool_3x3_stride_2(x: jax.Array) -> jax.Array:
    # Maxima of shifted slices, columns after rows: on CPU the gradient of `lax.reduce_window` is
    # up to four times slower.
    for axis in (1, 2):
        last = 2 * ((x.shape[axis] - 3) // 2)  # start of the last window
        shifted = [lax.slice_in_dim(x, i, last + i + 1, stride=2, axis=axis) for i in range(3)]
        x = functools.reduce(jnp.maximum, shifted)
    return x


def _blocks_of_stride_4(x: jax.Array) -> jax.Array:
    """Padded images in blocks of 4x4 pixels: [B, H, W, C] -> [B, h + 2, w + 2, 16 * C].

    AlexNet's first convolution (11x11, stride 4, padding 2) is exactly the plain 3x3 convolution
    of these blocks with `_stride_4_kernel_to_blocks`. The gradient of the plain one is faster on
    CPU, by 1.2 times at 128x128 pixels and 3 times at 512x512.

    The convolution's output has h = (H - 7) // 4 + 1 rows. It reads 4 * (h + 2) rows: from 2
    above the image to between 0 and 3 below it, the last of them with the kernel's added zeros.
    """
    height, width = x.shape[1:3]
    pad_rows, pad_columns = ((2, 4 * ((n - 7) // 4 + 3) - n - 2) for n in (height, width))
    return space_to_depth(jnp.pad(x, ((0, 0), pad_rows, pad_columns, (0, 0))), block=4)
