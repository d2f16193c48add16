"""Wasserstein distortion over VGG16's activations, as pure JAX functions.

Around every position the activations under a window are taken as samples of a distribution, and the
distributions of two pictures are compared: texture may lie elsewhere in the window, its statistics
may not change. Of each channel alone, as a Gaussian of the window's mean m and deviation s, the
squared 2-Wasserstein distance is (m - m')^2 + (s - s')^2. Windows of no width give the squared
error of the activations; those as wide as the picture compare textures only.

Source: Qiu, Wagner, Ballé and Theis, "Wasserstein Distortion: Unifying Fidelity and Realism", CISS
2024, arXiv:2310.03629. The paper leaves features and widths open, and its windows grow away from
where an observer looks; this configuration is our own, and its figures compare with no one else's:

    features    the picture in [0, 1], normalised by ImageNet's mean and deviation, and what VGG16,
                with the weights and maxima of LPIPS, has after the last convolution of each block
    windows     Gaussian, of a deviation of 8 pixels at every depth and everywhere, cut at 28
                pixels, their weights within the picture adding up to 1
    positions   every fourth pixel, or every position of an activation that lies further apart
    distance    per depth the mean over positions and channels, over `POWERS`; the mean of the six
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from diffcomp.distances.lpips import check_same_shape, normalized, vgg_features
from diffcomp.distances.lpips_weights import LpipsWeights

SIGMA = 8.0  # pixels
_CUT = 3.5  # deviations
# Mean squares of the six features over a dozen photographs, rounded.
POWERS = (2.0, 2.0, 7.0, 15.0, 4.0, 0.6)

Moments = tuple[tuple[jax.Array, jax.Array], ...]


def wasserstein_distortion(
    weights: LpipsWeights, x: jax.Array, x_hat: jax.Array, sigma: float = SIGMA
) -> jax.Array:
    """Wasserstein distortion of each pair of images; 0 for identical images, larger is worse.

    Args:
      weights: from `load_lpips("vgg")`.
      x, x_hat: float32 [B, H, W, 3] in [-1, 1], both sides at least 16.
      sigma: deviation of the windows in pixels; 0 compares position by position.

    Returns:
      float32 [B], not averaged over the batch.

    Raises:
      ValueError: if the shapes differ, or an image breaks the rules above.
    """
    check_same_shape(x, x_hat)
    moments = [
        local_moments((normalized(each), *vgg_features(weights, each)), sigma)
        for each in (x, x_hat)
    ]
    return moments_distance(*moments)


def local_moments(features: Sequence[jax.Array], sigma: float = SIGMA) -> Moments:
    """Means and deviations under the windows.

    Args:
      features: six arrays [B, H_l, W_l, C_l]: the image as VGG16 takes it, and activations.
      sigma: as in `wasserstein_distortion`.

    Returns:
      A mean and a deviation of each, float32 [B, h_l, w_l, C_l].
    """
    moments = []
    for depth, f in enumerate(features):
        apart = 2 ** max(depth - 1, 0)  # pixels between two positions
        rows, columns = (_windows(count, apart, sigma) for count in f.shape[1:3])
        mean, square = (_under(rows, columns, each) for each in (f, jnp.square(f)))
        moments.append((mean, jnp.sqrt(jnp.maximum(square - jnp.square(mean), 0))))
    return tuple(moments)


def moments_distance(moments: Moments, moments_hat: Moments) -> jax.Array:
    """Wasserstein distortion, float32 [B], of two results of `local_moments`, of the same sigma."""
    distance = jnp.zeros(moments[0][0].shape[0], jnp.float32)
    for power, pair, pair_hat in zip(POWERS, moments, moments_hat, strict=True):
        for moment, moment_hat in zip(pair, pair_hat, strict=True):
            distance += jnp.mean(jnp.square(moment - moment_hat), axis=(1, 2, 3)) / power
    return distance / len(POWERS)


def _windows(count: int, apart: int, sigma: float) -> np.ndarray:
    """Weights of `count` positions, `apart` pixels apart, in each window: [windows, count]."""
    places = apart * np.arange(count)
    centres = places[:: max(1, round(sigma / 2 / apart))]
    away = np.abs(centres[:, None] - places)
    if sigma == 0:
        return (away == 0).astype(np.float32)
    weights = np.where(away <= _CUT * sigma, np.exp(-(away**2) / (2 * sigma**2)), 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _under(rows: np.ndarray, columns: np.ndarray, f: jax.Array) -> jax.Array:
    """Means of [B, H, W, C] under the windows; exact products on accelerators too."""
    precision = jax.lax.Precision.HIGHEST
    f = jnp.einsum("ih,bhwc->biwc", rows, f, precision=precision)
    return jnp.einsum("jw,biwc->bijc", columns, f, precision=precision)
