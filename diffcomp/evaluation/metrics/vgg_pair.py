"""LPIPS by VGG16 and DISTS of the same images, which share the first of VGG16's five blocks.

Both take the same pixels through the same two convolutions before the first pooling, LPIPS by
maxima and DISTS by roots of mean squares; all else is as each alone, to the rounding of float32.
What the network makes of an original is kept while its reconstructions are judged, for all threads.
"""

import threading
from collections import OrderedDict
from concurrent.futures import Future

import jax
import numpy as np

from diffcomp.distances.dists import DistsWeights, dists_distance, l2_pool, load_dists
from diffcomp.distances.lpips import Features, lpips_distance, normalized, unit_length
from diffcomp.distances.lpips_weights import LpipsWeights, load_lpips
from diffcomp.distances.vgg import max_pool_2x2, vgg_first_block, vgg_later_blocks
from diffcomp.pixels import to_float

# Of larger images the features of both take too much memory at once: 260 MB of these.
MAX_PIXELS = 512 * 512
_KEPT = 2  # originals: where threads pass from one to the next, both are in use

Pair = tuple[Features, Features]


def lpips_vgg_and_dists(image: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Both distances of two images, as `deep_features` has them one by one.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 16.
    """
    weights = load_lpips("vgg"), load_dists()
    # These first: another thread may be at the original's already.
    features = _features(*weights, to_float(image[None]))
    lpips, dists = _distances(*weights, features, _of_reference(reference))
    return float(lpips[0]), float(dists[0])


@jax.jit
def _features(lpips: LpipsWeights, dists: DistsWeights, x: jax.Array) -> Pair:
    first = vgg_first_block(lpips.kernels, lpips.biases, normalized(x))
    of_lpips = vgg_later_blocks(lpips.kernels, lpips.biases, first, max_pool_2x2)
    of_dists = vgg_later_blocks(dists.kernels, dists.biases, first, l2_pool)
    return unit_length(of_lpips), ((x + 1) / 2, *of_dists)


@jax.jit
def _distances(
    lpips: LpipsWeights, dists: DistsWeights, features: Pair, expected: Pair
) -> tuple[jax.Array, jax.Array]:
    return (
        lpips_distance(lpips, features[0], expected[0]),
        dists_distance(dists, features[1], expected[1]),
    )


_kept: OrderedDict[tuple[tuple[int, ...], bytes], Future[Pair]] = OrderedDict()
_lock = threading.Lock()


def _of_reference(reference: np.ndarray) -> Pair:
    """The features of an original: computed by the thread that asks first, awaited by others."""
    key = reference.shape, reference.tobytes()
    with _lock:
        future, is_first = _kept.get(key), key not in _kept
        if future is None:
            future = _kept[key] = Future()
            while len(_kept) > _KEPT:
                _kept.popitem(last=False)
    if is_first:
        try:
            features = _features(load_lpips("vgg"), load_dists(), to_float(reference[None]))
            future.set_result(jax.block_until_ready(features))
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
