"""LPIPS by VGG16 and DISTS of the same images, which share the first of VGG16's five blocks.

Both take the same pixels through the same two convolutions before the first pooling, LPIPS by
maxima and DISTS by roots of mean squares; all else is as each alone, to the rounding of float32.
What the network makes of an original is kept while its reconstructions are judged, for all threads.
"""

import threading
from collections import OrderedDict
from concurrent.futures import Future
from typing import NamedTuple

import jax
import numpy as np

from diffcomp.distances.dists import DistsWeights, dists_distance, l2_pool, load_dists
from diffcomp.distances.lpips import Features, lpips_distance, normalized, unit_length
from diffcomp.distances.lpips_weights import LpipsWeights, load_lpips
from diffcomp.distances.vgg import max_pool_2x2, vgg_first_block, vgg_later_blocks
from diffcomp.pixels import to_float

# Of larger images the features of both take too much memory at once: 190 MB of these.
MAX_PIXELS = 512 * 512
_KEPT = 2  # originals: where threads pass from one to the next, both are in use


class Activations(NamedTuple):
    """What both distances need of one image; what they share is there once."""

    image: jax.Array  # in [0, 1]
    first: jax.Array
    later_of_lpips: list[jax.Array]
    later_of_dists: list[jax.Array]

    def of_lpips(self) -> Features:
        return unit_length([self.first, *self.later_of_lpips])

    def of_dists(self) -> Features:
        return self.image, self.first, *self.later_of_dists


def lpips_vgg_and_dists(image: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Both distances of two images, as `deep_features` has them one by one.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 16.
    """
    weights = load_lpips("vgg"), load_dists()
    # These first: another thread may be at the original's already.
    activations = _activations(*weights, to_float(image[None]))
    lpips, dists = _distances(*weights, activations, _of_reference(reference))
    return float(lpips[0]), float(dists[0])


@jax.jit
def _activations(lpips: LpipsWeights, dists: DistsWeights, x: jax.Array) -> Activations:
    first = vgg_first_block(lpips.kernels, lpips.biases, normalized(x))
    of_lpips = vgg_later_blocks(lpips.kernels, lpips.biases, first, max_pool_2x2)
    of_dists = vgg_later_blocks(dists.kernels, dists.biases, first, l2_pool)
    return Activations((x + 1) / 2, first, of_lpips[1:], of_dists[1:])


@jax.jit
def _distances(
    lpips: LpipsWeights, dists: DistsWeights, found: Activations, expected: Activations
) -> tuple[jax.Array, jax.Array]:
    return (
        lpips_distance(lpips, found.of_lpips(), expected.of_lpips()),
        dists_distance(dists, found.of_dists(), expected.of_dists()),
    )


_kept: OrderedDict[tuple[tuple[int, ...], bytes], Future[Activations]] = OrderedDict()
_lock = threading.Lock()


def _of_reference(reference: np.ndarray) -> Activations:
    """The activations of an original: computed by the thread that asks first, awaited by others."""
    key = reference.shape, reference.tobytes()
    with _lock:
        future, is_first = _kept.get(key), key not in _kept
        if future is None:
            future = _kept[key] = Future()
            while len(_kept) > _KEPT:
                _kept.popitem(last=False)
    if is_first:
        try:
            found = _activations(load_lpips("vgg"), load_dists(), to_float(reference[None]))
            future.set_result(jax.block_until_ready(found))
        except BaseException as error:
            with _lock:
                _kept.pop(key, None)
            future.set_exception(error)
            raise
    return future.result()


def forget_references() -> None:
    """Frees what is kept of originals."""
    with _lock:
        _kept.clear()
