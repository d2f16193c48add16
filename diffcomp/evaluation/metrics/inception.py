"""The Inception-v3 network of FID, up to its last pooling, as a JAX function.

FID is defined by one certain network: the Inception-v3 that TensorFlow published in December 2015,
whose weights PyTorch's users know as the file pt_inception-2015-12-05-6726825d.pth. It differs from
other versions of Inception-v3 in its poolings: averages leave out the padding, and the last block
takes maxima.

Source: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the Inception Architecture for
Computer Vision", CVPR 2016, table 1 and figures 5 to 7; Heusel, Ramsauer, Unterthiner, Nessler and
Hochreiter, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
NeurIPS 2017. Names and layout of the weights are those of the package pytorch-fid.
"""

import jax
import jax.numpy as jnp
from jax import lax

from diffcomp.distances.convolution import conv_relu
from diffcomp.evaluation.metrics.inception_weights import InceptionWeights
from diffcomp.pixels import to_float

NUM_FEATURES = 2048
INPUT_SIDE = 299  # pixels


def inception_features(weights: InceptionWeights, images: jax.Array) -> jax.Array:
    """Means over all positions of the last block's activations, "pool3": float32 [B, 2048].

    Args:
      weights: from `inception_weights.load_inception`.
      images: uint8 or float32 [B, H, W, 3] from 0 to 255; resized to 299 x 299, bilinearly and
        without smoothing, as FID in PyTorch does.
    """
    x = to_float(_resize(images.astype(jnp.float32)))
    x = _conv(weights, "Conv2d_1a_3x3", x, stride=2, padding="VALID")
    x = _conv(weights, "Conv2d_2a_3x3", x, padding="VALID")
    x = _max_pool(_conv(weights, "Conv2d_2b_3x3", x))
    x = _conv(weights, "Conv2d_3b_1x1", x, padding="VALID")
    x = _max_pool(_conv(weights, "Conv2d_4a_3x3", x, padding="VALID"))
    for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        x = _block_of_35(weights, block, x)
    x = _from_35_to_17(weights, "Mixed_6a", x)
    for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        x = _block_of_17(weights, block, x)
    x = _from_17_to_8(weights, "Mixed_7a", x)
    x = _block_of_8(weights, "Mixed_7b", x, _mean_pool(x))
    x = _block_of_8(weights, "Mixed_7c", x, _max_pool(x, stride=1, padding="SAME"))
    return jnp.mean(x, axis=(1, 2))


def _block_of_35(weights: InceptionWeights, block: str, x: jax.Array) -> jax.Array:
    return _join(
        _chain(weights, block, x, "branch1x1"),
        _chain(weights, block, x, "branch5x5_1", "branch5x5_2"),
        _chain(weights, block, x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
        _chain(weights, block, _mean_pool(x), "branch_pool"),
    )


def _from_35_to_17(weights: InceptionWeights, block: str, x: jax.Array) -> jax.Array:
    double = _chain(weights, block, x, "branch3x3dbl_1", "branch3x3dbl_2")
    return _join(
        _conv(weights, f"{block}.branch3x3", x, stride=2, padding="VALID"),
        _conv(weights, f"{block}.branch3x3dbl_3", double, stride=2, padding="VALID"),
        _max_pool(x),
    )


def _block_of_17(weights: InceptionWeights, block: str, x: jax.Array) -> jax.Array:
    return _join(
        _chain(weights, block, x, "branch1x1"),
        _chain(weights, block, x, "branch7x7_1", "branch7x7_2", "branch7x7_3"),
        _chain(weights, block, x, *(f"branch7x7dbl_{i}" for i in range(1, 6))),
        _chain(weights, block, _mean_pool(x), "branch_pool"),
    )


def _from_17_to_8(weights: InceptionWeights, block: str, x: jax.Array) -> jax.Array:
    single = _chain(weights, block, x, "branch3x3_1")
    wide = _chain(weights, block, x, "branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3")
    return _join(
        _conv(weights, f"{block}.branch3x3_2", single, stride=2, padding="VALID"),
        _conv(weights, f"{block}.branch7x7x3_4", wide, stride=2, padding="VALID"),
        _max_pool(x),
    )


def _block_of_8(
    weights: InceptionWeights, block: str, x: jax.Array, pooled: jax.Array
) -> jax.Array:
    single = _chain(weights, block, x, "branch3x3_1")
    double = _chain(weights, block, x, "branch3x3dbl_1", "branch3x3dbl_2")
    return _join(
        _chain(weights, block, x, "branch1x1"),
        _chain(weights, block, single, "branch3x3_2a"),
        _chain(weights, block, single, "branch3x3_2b"),
        _chain(weights, block, double, "branch3x3dbl_3a"),
        _chain(weights, block, double, "branch3x3dbl_3b"),
        _chain(weights, block, pooled, "branch_pool"),
    )


def _conv(
    weights: InceptionWeights, name: str, x: jax.Array, stride: int = 1, padding: str = "SAME"
) -> jax.Array:
    return conv_relu(x, *weights[name], padding=padding, stride=stride)


def _chain(weights: InceptionWeights, block: str, x: jax.Array, *names: str) -> jax.Array:
    for name in names:
        x = _conv(weights, f"{block}.{name}", x)
    return x


def _join(*branches: jax.Array) -> jax.Array:
    return jnp.concatenate(branches, axis=-1)


def _resize(x: jax.Array) -> jax.Array:
    shape = (x.shape[0], INPUT_SIDE, INPUT_SIDE, x.shape[3])
    return jax.image.resize(x, shape, "bilinear", antialias=False)


def _max_pool(x: jax.Array, stride: int = 2, padding: str = "VALID") -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, stride, stride, 1), padding)


def _mean_pool(x: jax.Array) -> jax.Array:
    """Means over 3 x 3 positions, of those inside only."""
    window = (1, 3, 3, 1)
    total = lax.reduce_window(x, 0.0, lax.add, window, (1, 1, 1, 1), "SAME")
    inside = jnp.ones((1, *x.shape[1:3], 1), x.dtype)
    return total / lax.reduce_window(inside, 0.0, lax.add, window, (1, 1, 1, 1), "SAME")
