"""Distances between a set of decoded images and the set of originals: FID, KID, FD-VGG, KD-VGG.

A distance between sets asks whether decoded images look like photographs at all, not whether each
looks like its original. Every image is cut to patches, a network makes a vector of each patch, and
the two clouds of vectors are compared, by the protocol of HiFiC (see `patches`).

FID and KID are defined by the weights of one network, which is not distributed with this package;
their figures can be compared with those of others. FD-VGG and KD-VGG are the same distances between
other vectors: of VGG16, whose weights come with LPIPS, the 512 activations after the last
convolution (conv5_3 and its rectifier), averaged over all positions. Their figures can be compared
only with each other.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy import linalg

from diffcomp.distances.lpips import vgg_features
from diffcomp.distances.lpips_weights import LpipsWeights, load_lpips
from diffcomp.evaluation.metrics.inception import NUM_FEATURES, inception_features
from diffcomp.evaluation.metrics.inception_weights import load_inception
from diffcomp.evaluation.metrics.patches import patches_of
from diffcomp.pixels import to_float

VGG_FEATURES = 512

# The unbiased kernel distance may be had of any two patches, but it scatters with 1 / sqrt(count):
# of fewer than a hundred patches, differences between codecs drown in it.
_MIN_KERNEL_PATCHES = 100
_BATCH = 8  # patches at once
_BLOCK = 2048  # rows of the kernel matrix at once


@dataclasses.dataclass(frozen=True)
class SetDistance:
    """A distance between two sets of images, 0 for equal sets; lower is better."""

    value: float
    patches: int  # of the decoded images
    reference_patches: int


@dataclasses.dataclass(frozen=True)
class SetMetric:
    """A distance between sets by name."""

    name: str
    label: str  # for tables and figures
    function: Callable[[np.ndarray, np.ndarray], float]  # of features [N, D] and [M, D]
    uses_inception: bool
    min_patches: int  # of each set


def frechet_distance(features: np.ndarray, reference_features: np.ndarray) -> float:
    """Squared Fréchet distance of two Gaussians of the vectors' means and covariances; >= 0.

    |m - n|^2 + trace(A + B - 2 (A B)^(1/2)), covariances with N - 1 degrees of freedom. It is
    biased upwards, the more the fewer patches: compare only figures of as many.

    Source: Heusel and others, NeurIPS 2017, equation 6.

    Args:
      features, reference_features: [N, D] and [M, D], N and M at least 2.
    """
    means, covariances = [], []
    for each in (features, reference_features):
        each = each.astype(np.float64)
        means.append(each.mean(axis=0))
        covariances.append(np.cov(each, rowvar=False))
    # The eigenvalues of A B are those of the symmetric A^(1/2) B A^(1/2): real, and not negative
    # but for rounding.
    values, vectors = linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    mixed = linalg.eigvalsh(root @ covariances[1] @ root)
    traces = np.trace(covariances[0]) + np.trace(covariances[1])
    distance = np.sum((means[0] - means[1]) ** 2) + traces
    return float(max(distance - 2 * np.sum(np.sqrt(np.maximum(mixed, 0))), 0))


def kernel_distance(features: np.ndarray, reference_features: np.ndarray) -> float:
    """Squared maximum mean discrepancy with the kernel (x y / D + 1)^3, unbiased.

    The mean of the kernel over pairs within either set, less twice that between the sets. Without
    bias, so that of equal distributions it may fall a little below 0. Over all patches at once;
    others average over random subsets, with the same expectation.

    Source: Bińkowski, Sutherland, Arbel and Gretton, "Demystifying MMD GANs", ICLR 2018, section 4.

    Args:
      features, reference_features: [N, D] and [M, D], N and M at least 2.
    """
    x, y = features.astype(np.float64), reference_features.astype(np.float64)
    within = 0.0
    for each in (x, y):
        itself = np.sum((np.sum(each * each, axis=1) / each.shape[1] + 1) ** 3)
        within += (_kernel_sum(each, each) - itself) / (len(each) * (len(each) - 1))
    return float(within - 2 * _kernel_sum(x, y) / (len(x) * len(y)))


def _kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
    blocks = (x[start : start + _BLOCK] for start in range(0, len(x), _BLOCK))
    return sum(float(np.sum((block @ y.T / x.shape[1] + 1) ** 3)) for block in blocks)


# A covariance of D features has full rank from D + 1 patches on. Of fewer, some directions have no
# variance at all in either set, and the distance says more about the count than about the images.
_ALL = (
    SetMetric("fid", "FID", frechet_distance, True, NUM_FEATURES + 1),
    SetMetric("kid", "KID", kernel_distance, True, _MIN_KERNEL_PATCHES),
    SetMetric("fd_vgg", "FD-VGG", frechet_distance, False, VGG_FEATURES + 1),
    SetMetric("kd_vgg", "KD-VGG", kernel_distance, False, _MIN_KERNEL_PATCHES),
)
SET_METRICS: dict[str, SetMetric] = {metric.name: metric for metric in _ALL}


def set_distance(
    name: str,
    images: Iterable[np.ndarray],
    references: Iterable[np.ndarray],
    inception: Path | None = None,
) -> SetDistance:
    """The distance `name` between two sets of images.

    Args:
      name: a key of SET_METRICS.
      images: the decoded images, uint8 [H, W, 3] each, of any sizes from 256 on.
      references: the originals; they need not be as many, nor in the same order.
      inception: for FID and KID, the file pt_inception-2015-12-05-6726825d.pth.

    Raises:
      ValueError: for another name, without the file where one is needed, for images that break the
        rules, or if a set has fewer patches than the distance needs.
      WeightsError, OSError: for a file that cannot be used.
    """
    features, reference_features = (
        features_of(name, each, what, inception)
        for what, each in (("images", images), ("references", references))
    )
    return distance_of_features(name, features, reference_features)


def features_of(
    name: str, images: Iterable[np.ndarray], what: str, inception: Path | None = None
) -> np.ndarray:
    """The vectors float32 [N, D] that the distance `name` compares; `what` names the set in errors.

    Distances by one network compare the same vectors. Arguments, raises: see `set_distance`.
    """
    return _features(_embedding(_metric(name), inception), patches_of(images, what))


def distance_of_features(
    name: str, features: np.ndarray, reference_features: np.ndarray
) -> SetDistance:
    """The distance `name` between two results of `features_of`; raises as `set_distance` does."""
    metric = _metric(name)
    for what, each in (("images", features), ("references", reference_features)):
        if len(each) < metric.min_patches:
            raise ValueError(
                f"{what} have {len(each)} patches of 256x256; {metric.label} needs at least "
                f"{metric.min_patches}."
            )
    value = metric.function(features, reference_features)
    return SetDistance(value, len(features), len(reference_features))


def _metric(name: str) -> SetMetric:
    if name not in SET_METRICS:
        raise ValueError(f"set metric is {name!r}; it must be one of {', '.join(SET_METRICS)}.")
    return SET_METRICS[name]


@functools.lru_cache(maxsize=1)  # The network is read once for all sets.
def _embedding(metric: SetMetric, inception: Path | None) -> Callable[[np.ndarray], np.ndarray]:
    """A function of patches uint8 [B, 256, 256, 3] that returns their vectors, float32 [B, D]."""
    if not metric.uses_inception:
        vgg = load_lpips("vgg")
        return lambda batch: np.asarray(_vgg_vectors(vgg, batch))
    if inception is None:
        without = ", ".join(each.name for each in _ALL if not each.uses_inception)
        raise ValueError(
            f"{metric.label} needs the weights of its network, which are not distributed with "
            f"diffcomp: the file pt_inception-2015-12-05-6726825d.pth of pytorch-fid, as "
            f"--inception WEIGHTS. Without any: {without}."
        )
    weights = load_inception(inception)
    return lambda batch: np.asarray(_inception_vectors(weights, batch))


_inception_vectors = jax.jit(inception_features)


@jax.jit
def _vgg_vectors(weights: LpipsWeights, batch: jax.Array) -> jax.Array:
    return jnp.mean(vgg_features(weights, to_float(batch))[-1], axis=(1, 2))


def _features(
    embed: Callable[[np.ndarray], np.ndarray], patches: Iterator[np.ndarray]
) -> np.ndarray:
    vectors = []
    while batch := list(itertools.islice(patches, _BATCH)):
        # Filled up, so that one compiled function serves all batches.
        filled = np.stack(batch + batch[-1:] * (_BATCH - len(batch)))
        vectors.append(embed(filled)[: len(batch)])
    return np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32)
