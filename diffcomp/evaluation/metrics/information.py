"""VIF, the share of the reference's information that is left in an image."""

import numpy as np

from diffcomp.distances.gaussian_window import gaussian_window
from diffcomp.evaluation.metrics.planes import filter_inside, luma

_NOISE = 2.0  # variance of the noise in the eye, in squared levels of 0 to 255
_TINY = 1e-8  # a variance below which a window counts as flat
_SCALES = 4


def vif(image: np.ndarray, reference: np.ndarray) -> float:
    """Visual information fidelity in the pixel domain, VIFp, of one pair; higher is better.

    Under Gaussian windows the image is modeled as the reference times a gain, plus noise of its
    own; both are seen through noise of the eye, of variance 2. The information that the image
    still gives about the reference, over that of the reference, both added over all positions and
    four scales: windows of 17, 9, 5 and 3 pixels, a fifth of that the standard deviation, only
    where they lie inside the image; each scale is filtered with its window and halved first.
    Not symmetric: which image is the reference matters.

    Color: luma.

    Source: Sheikh and Bovik, "Image information and visual quality", IEEE Transactions on Image
    Processing 15(2), 2006, in the authors' later variant without wavelets.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 41.

    Returns:
      0 or more, 1 for identical images; above 1 if the image has more contrast than the reference.
    """
    x, y = luma(image), luma(reference)
    kept = total = 0.0
    for scale in range(_SCALES):
        size = 2 ** (_SCALES - scale) + 1
        window = gaussian_window(size, size / 5)
        if scale > 0:
            x, y = (filter_inside(each, window)[::2, ::2] for each in (x, y))
        kept_here, total_here = _information(x, y, window)
        kept += kept_here
        total += total_here
    return (kept + _TINY) / (total + _TINY)


def _information(x: np.ndarray, y: np.ndarray, window: np.ndarray) -> tuple[float, float]:
    """Information kept in `x` of the reference `y`, and that of `y`, in units of log 10."""
    mean_x, mean_y = filter_inside(x, window), filter_inside(y, window)
    variance_x = np.maximum(filter_inside(x * x, window) - mean_x**2, 0)
    variance_y = np.maximum(filter_inside(y * y, window) - mean_y**2, 0)
    covariance = filter_inside(x * y, window) - mean_x * mean_y
    gain = covariance / (variance_y + _TINY)
    noise = variance_x - gain * covariance
    # Without contrast in either image, and with a negative gain, nothing is kept: what `x` has is
    # noise of its own.
    lost = (variance_x < _TINY) | (variance_y < _TINY) | (gain < 0)
    gain, noise = np.where(lost, 0, gain), np.where(lost, variance_x, noise)
    variance_y = np.where(variance_y < _TINY, 0, variance_y)
    kept = np.log10(1 + gain**2 * variance_y / (np.maximum(noise, _TINY) + _NOISE))
    return float(kept.sum()), float(np.log10(1 + variance_y / _NOISE).sum())
