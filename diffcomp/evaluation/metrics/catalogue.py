"""The metrics that compare a decoded image with the original, by name.

Each judges every image alone, in 8 bits per channel and at its full size. Their definitions,
channels and sources stand with the functions: many exist in several variants, whose values differ.
A figure for a data set is the mean of its images' values.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from diffcomp.distances import distortion
from diffcomp.evaluation.metrics.complex_wavelet import cw_ssim
from diffcomp.evaluation.metrics.deep_features import dists, lpips_alex, lpips_vgg
from diffcomp.evaluation.metrics.feature_similarity import fsim
from diffcomp.evaluation.metrics.gradient import gmsd, haarpsi
from diffcomp.evaluation.metrics.information import vif
from diffcomp.evaluation.metrics.most_apparent_distortion import mad
from diffcomp.evaluation.metrics.normalized_laplacian import nlpd
from diffcomp.evaluation.metrics.saliency import vsi
from diffcomp.evaluation.metrics.structural import ms_ssim, ssim


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric and how to read its values."""

    name: str
    label: str  # for tables and figures
    # (images, references), both uint8 [B, H, W, 3] -> float64 [B]. Checks nothing: see `measure`.
    function: Callable[[np.ndarray, np.ndarray], np.ndarray]
    higher_is_better: bool
    ideal: float  # of identical images
    min_side: int  # pixels; both sides of an image must have as many


def _of_batches(
    function: Callable[[np.ndarray, np.ndarray], float],
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function of two images as one of two batches."""

    def of_batches(images: np.ndarray, references: np.ndarray) -> np.ndarray:
        pairs = zip(images, references, strict=True)
        return np.array([function(image, reference) for image, reference in pairs], np.float64)

    return of_batches


_ALL = (
    Metric("psnr", "PSNR (dB)", _of_batches(distortion.psnr), True, math.inf, 1),
    Metric("ssim", "SSIM", _of_batches(ssim), True, 1.0, 11),
    Metric("ms_ssim", "MS-SSIM", _of_batches(ms_ssim), True, 1.0, 161),
    Metric("cw_ssim", "CW-SSIM", _of_batches(cw_ssim), True, 1.0, 64),
    Metric("fsim", "FSIMc", _of_batches(fsim), True, 1.0, 48),
    Metric("vsi", "VSI", _of_batches(vsi), True, 1.0, 16),
    Metric("vif", "VIFp", _of_batches(vif), True, 1.0, 41),
    Metric("gmsd", "GMSD", _of_batches(gmsd), False, 0.0, 6),
    Metric("nlpd", "NLPD", _of_batches(nlpd), False, 0.0, 32),
    Metric("mad", "MAD", _of_batches(mad), False, 0.0, 48),
    Metric("haarpsi", "HaarPSI", _of_batches(haarpsi), True, 1.0, 16),
    Metric("lpips_alex", "LPIPS-Alex", _of_batches(lpips_alex), False, 0.0, 31),
    Metric("lpips_vgg", "LPIPS-VGG", _of_batches(lpips_vgg), False, 0.0, 16),
    Metric("dists", "DISTS", _of_batches(dists), False, 0.0, 16),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def measure(name: str, images: np.ndarray, references: np.ndarray) -> np.ndarray:
    """The metric `name` of each pair of images.

    Args:
      name: a key of METRICS.
      images: uint8 [B, H, W, 3], the decoded images, both sides at least the metric's `min_side`.
      references: the originals, of the same shape. For VIF the order matters.

    Returns:
      float64 [B].

    Raises:
      ValueError: for another name, or images that break the rules above.
    """
    if name not in METRICS:
        raise ValueError(f"metric is {name!r}; it must be one of {', '.join(METRICS)}.")
    metric = METRICS[name]
    for what, each in (("images", images), ("references", references)):
        if each.dtype != np.uint8 or each.ndim != 4 or each.shape[-1] != 3:
            raise ValueError(f"{what} are {each.dtype} {each.shape}; must be uint8 [B, H, W, 3].")
    if images.shape != references.shape:
        raise ValueError(
            f"images are {images.shape} and references {references.shape}; they must be equal."
        )
    height, width = images.shape[1:3]
    if min(height, width) < metric.min_side:
        raise ValueError(
            f"images are {height}x{width} pixels; {metric.label} needs at least "
            f"{metric.min_side}x{metric.min_side}."
        )
    return metric.function(images, references)
