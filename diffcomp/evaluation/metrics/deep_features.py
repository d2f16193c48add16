"""LPIPS and DISTS of 8-bit images, which look at images through networks trained on ImageNet.

What the network makes of the last reference is kept, so that a reference that is compared with
several images in a row is looked at once: of a 768 x 512 image 190 MB each for VGG16 and DISTS.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from diffcomp.distances.dists import dists_distance, dists_features, load_dists
from diffcomp.distances.lpips import Features, lpips_distance, lpips_features
from diffcomp.distances.lpips_weights import load_lpips

_lpips_features = jax.jit(lpips_features)
_lpips_distance = jax.jit(lpips_distance)
_dists_features = jax.jit(dists_features)
_dists_distance = jax.jit(dists_distance)


def lpips_alex(image: np.ndarray, reference: np.ndarray) -> float:
    """LPIPS by AlexNet, the variant closest to judgements of people; 0 or more, lower is better.

    Color: RGB. Source: Zhang and others, CVPR 2018; see `diffcomp.distances.lpips`.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 31.
    """
    return _lpips("alex", image, reference)


def lpips_vgg(image: np.ndarray, reference: np.ndarray) -> float:
    """LPIPS by VGG16, the variant usual as a loss; 0 or more, lower is better.

    Color: RGB. Source: Zhang and others, CVPR 2018; see `diffcomp.distances.lpips`.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 16.
    """
    return _lpips("vgg", image, reference)


def dists(image: np.ndarray, reference: np.ndarray) -> float:
    """Deep image structure and texture similarity as a distance; in [0, 1], lower is better.

    Color: RGB. At full resolution, without the authors' resizing of the shorter side to 256.
    Source: Ding and others, 2022; see `diffcomp.distances.dists`.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 16.
    """
    expected = _reference_dists_features(reference.tobytes(), reference.shape)
    weights = load_dists()
    return float(_dists_distance(weights, _dists_features(weights, _scaled(image)), expected)[0])


def _lpips(net: str, image: np.ndarray, reference: np.ndarray) -> float:
    remembered = _reference_alex_features if net == "alex" else _reference_vgg_features
    expected = remembered(reference.tobytes(), reference.shape)
    weights = load_lpips(net)
    return float(_lpips_distance(weights, _lpips_features(weights, _scaled(image)), expected)[0])


# One place each, so that one metric does not push out another's reference.
@functools.lru_cache(maxsize=1)
def _reference_alex_features(pixels: bytes, shape: tuple[int, ...]) -> Features:
    return _lpips_features(load_lpips("alex"), _scaled(_image(pixels, shape)))


@functools.lru_cache(maxsize=1)
def _reference_vgg_features(pixels: bytes, shape: tuple[int, ...]) -> Features:
    return _lpips_features(load_lpips("vgg"), _scaled(_image(pixels, shape)))


@functools.lru_cache(maxsize=1)
def _reference_dists_features(pixels: bytes, shape: tuple[int, ...]) -> Features:
    return _dists_features(load_dists(), _scaled(_image(pixels, shape)))


def _image(pixels: bytes, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def _scaled(image: np.ndarray) -> jax.Array:
    """uint8 [H, W, 3] -> float32 [1, H, W, 3] in [-1, 1]."""
    return jnp.asarray(image[None], jnp.float32) / 127.5 - 1
