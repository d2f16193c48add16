"""LPIPS by VGG16, DISTS and Wasserstein distortion of the same images, which share much of VGG16.

LPIPS and Wasserstein distortion take the same five blocks; DISTS the same first one, for before the
first pooling they are alike, LPIPS by maxima and DISTS by roots of mean squares. All is as each
metric alone has it, to the rounding of float32. What the network makes of an original is kept while
its reconstructions are judged, for all threads; of a reconstruction no more than the block at hand.
"""

import functools
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple

import jax
import numpy as np

from diffcomp.distances.dists import DistsWeights, dists_distance, l2_pool, load_dists
from diffcomp.distances.lpips import lpips_distance, normalized, unit_length
from diffcomp.distances.lpips_weights import LpipsWeights, load_lpips
from diffcomp.distances.vgg import max_pool_2x2, vgg_first_block, vgg_later_blocks
from diffcomp.distances.wasserstein_distortion import Moments, local_moments, moments_distance
from diffcomp.pixels import to_float

NAMES = ("lpips_vgg", "dists", "wasserstein")
# Of larger images the features of all take too much memory at once: 210 MB of these.
MAX_PIXELS = 512 * 512
_KEPT = 2  # originals: where threads pass from one to the next, both are in use
Names = tuple[str, ...]


class Activations(NamedTuple):
    """What the metrics need of one image, each thing once; what none of them needs is empty."""

    image: jax.Array  # in [0, 1]
    first: jax.Array
    later_of_lpips: list[jax.Array]
    later_of_dists: list[jax.Array]
    moments: Moments


def compare_by_vgg(
    names: Sequence[str], image: np.ndarray, reference: np.ndarray
) -> dict[str, float]:
    """Several of the metrics NAMES of two images, as `deep_features` has them one by one.

    One image at a time: each has all cores, and all at once would take their memory together.

    Args:
      names: of NAMES.
      image, reference: uint8 [H, W, 3], both sides at least 16.
    """
    chosen = tuple(name for name in NAMES if name in names)
    expected = _of_reference(chosen, reference)
    with _one_at_a_time:
        found = _distances(chosen, *_weights(), to_float(image[None]), expected)
        return {name: float(value[0]) for name, value in found.items()}


def _weights() -> tuple[LpipsWeights, DistsWeights]:
    return load_lpips("vgg"), load_dists()


@functools.partial(jax.jit, static_argnames="names")
def _activations(
    names: Names, lpips: LpipsWeights, dists: DistsWeights, x: jax.Array
) -> Activations:
    first = vgg_first_block(lpips.kernels, lpips.biases, normalized(x))
    of_lpips, of_dists, moments = [first], [first], ()
    if "lpips_vgg" in names or "wasserstein" in names:
        of_lpips = vgg_later_blocks(lpips.kernels, lpips.biases, first, max_pool_2x2)
    if "dists" in names:
        of_dists = vgg_later_blocks(dists.kernels, dists.biases, first, l2_pool)
    if "wasserstein" in names:
        moments = local_moments((normalized(x), *of_lpips))
    later_of_lpips = of_lpips[1:] if "lpips_vgg" in names else []
    return Activations((x + 1) / 2, first, later_of_lpips, of_dists[1:], moments)


@functools.partial(jax.jit, static_argnames="names")
def _distances(
    names: Names, lpips: LpipsWeights, dists: DistsWeights, x: jax.Array, expected: Activations
) -> dict[str, jax.Array]:
    found = _activations(names, lpips, dists, x)
    functions = {
        "lpips_vgg": lambda: lpips_distance(
            lpips, *(unit_length([each.first, *each.later_of_lpips]) for each in (found, expected))
        ),
        "dists": lambda: dists_distance(
            dists, *((each.image, each.first, *each.later_of_dists) for each in (found, expected))
        ),
        "wasserstein": lambda: moments_distance(found.moments, expected.moments),
    }
    return {name: functions[name]() for name in names}


_kept: OrderedDict[tuple[Names, tuple[int, ...], bytes], Future[Activations]] = OrderedDict()
_lock = threading.Lock()  # of `_kept`
_one_at_a_time = threading.Lock()


def _of_reference(names: Names, reference: np.ndarray) -> Activations:
    """The activations of an original: computed by the thread that asks first, awaited by others."""
    key = names, reference.shape, reference.tobytes()
    with _lock:
        future, is_first = _kept.get(key), key not in _kept
        if future is None:
            future = _kept[key] = Future()
            while len(_kept) > _KEPT:
                _kept.popitem(last=False)
    if is_first:
        try:
            with _one_at_a_time:
                found = _activations(names, *_weights(), to_float(reference[None]))
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
