"""Metrics of 8-bit images that look at them through networks trained on ImageNet.

What each network makes of the last reference is kept, so that a reference that is compared with
several images in a row is looked at once: of a 768 x 512 image 190 MB each for VGG16 and DISTS.
"""

import functools

import jax
import numpy as np

from diffcomp.distances.dists import dists_distance, dists_features, load_dists
from diffcomp.distances.lpips import Features, lpips_of_images
from diffcomp.distances.lpips_weights import load_lpips
from diffcomp.distances.wasserstein_distortion import wasserstein_distortion
from diffcomp.pixels import to_float

_dists_features = jax.jit(dists_features)
_dists_distance = jax.jit(dists_distance)
_wasserstein_distortion = jax.jit(wasserstein_distortion)


def lpips_alex(image: np.ndarray, reference: np.ndarray) -> float:
    """LPIPS by AlexNet, the variant closest to judgements of people; 0 or more, lower is better.

    Color: RGB. Source: Zhang and others, CVPR 2018; see `diffcomp.distances.lpips`.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 31.
    """
    return lpips_of_images("alex", image, reference)


def lpips_vgg(image: np.ndarray, reference: np.ndarray) -> float:
    """LPIPS by VGG16, the variant usual as a loss; 0 or more, lower is better.

    Color: RGB. Source: Zhang and others, CVPR 2018; see `diffcomp.distances.lpips`.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 16.
    """
    return lpips_of_images("vgg", image, reference)


def dists(image: np.ndarray, reference: np.ndarray) -> float:
    """Deep image structure and texture similarity as a distance; in [0, 1], lower is better.

    Color: RGB. At full resolution, without the authors' resizing of the shorter side to 256.
    Source: Ding and others, 2022; see `diffcomp.distances.dists`.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 16.
    """
    weights = load_dists()
    expected = _features_of_reference(reference.tobytes(), reference.shape)
    features = _dists_features(weights, to_float(image[None]))
    return float(_dists_distance(weights, features, expected)[0])


def wasserstein(image: np.ndarray, reference: np.ndarray) -> float:
    """Wasserstein distortion of VGG16's activations in windows of 8 pixels; lower is better.

    Color: RGB. Source: Qiu and others, 2024, in a configuration of our own: see
    `diffcomp.distances.wasserstein_distortion`.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 16.

    Returns:
      0 or more; around 1 where nothing is left of the picture.
    """
    pair = (to_float(each[None]) for each in (reference, image))
    return float(_wasserstein_distortion(load_lpips("vgg"), *pair)[0])


@functools.lru_cache(maxsize=1)
def _features_of_reference(pixels: bytes, shape: tuple[int, ...]) -> Features:
    image = np.frombuffer(pixels, np.uint8).reshape(1, *shape)
    return _dists_features(load_dists(), to_float(image))
