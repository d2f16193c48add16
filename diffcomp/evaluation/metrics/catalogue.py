"""The metrics that compare a decoded image with the original, by name.

Each judges every image alone, in 8 bits per channel and at its full size. Their definitions,
channels and sources stand with the functions: many exist in several variants, whose values differ.
A figure for a data set is the mean of its images' values.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from diffcomp.distances import distortion
from diffcomp.evaluation.metrics import libjxl_programs, shared_vgg
from diffcomp.evaluation.metrics.complex_wavelet import cw_ssim
from diffcomp.evaluation.metrics.deep_features import dists, lpips_alex, lpips_vgg, wasserstein
from diffcomp.evaluation.metrics.feature_similarity import fsim
from diffcomp.evaluation.metrics.flat_colour import flat_colour
from diffcomp.evaluation.metrics.gradient import gmsd, haarpsi
from diffcomp.evaluation.metrics.information import vif
from diffcomp.evaluation.metrics.libjxl_programs import butteraugli, ssimulacra2
from diffcomp.evaluation.metrics.most_apparent_distortion import mad
from diffcomp.evaluation.metrics.normalized_laplacian import nlpd
from diffcomp.evaluation.metrics.saliency import vsi
from diffcomp.evaluation.metrics.structural import ms_ssim, ssim


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric and how to read its values."""

    name: str
    label: str  # for tables and figures
    # (image, reference), both uint8 [H, W, 3]. Checks nothing: see `compare`.
    function: Callable[[np.ndarray, np.ndarray], float]
    higher_is_better: bool
    ideal: float  # of identical images
    min_side: int  # pixels; both sides of an image must have as many
    note: str = ""  # which of several variants it is
    by_program: bool = False  # on the PATH: see `libjxl_programs`


# Which of the variants that go by one name each is; all at full size but FSIMc and VSI.
_PSNR = "a mean of decibels, over the three channels alike"
_SSIM = "of R, G and B each, a Gaussian window of 11x11, where it lies inside"
_MS_SSIM = "of R, G and B each, five scales; an odd side's last row is doubled before it is halved"
_LPIPS = "version 0.1 with its linear heads, images scaled to [-1, 1]"
_DISTS = "without the authors' resizing of the shorter side to 256"
_WASSERSTEIN = "VGG16, windows of 8 pixels: a configuration of our own"
_FLAT = "CIE 1976, of mean colours of cells of 32x32 pixels that are flat in the original"
_BUTTERAUGLI = "its 3-norm, at 80 nits"

_ALL = (
    Metric("psnr", "PSNR (dB)", distortion.psnr, True, math.inf, 1, _PSNR),
    Metric("ssim", "SSIM", ssim, True, 1.0, 11, _SSIM),
    Metric("ms_ssim", "MS-SSIM", ms_ssim, True, 1.0, 161, _MS_SSIM),
    Metric("cw_ssim", "CW-SSIM", cw_ssim, True, 1.0, 64),
    Metric("fsim", "FSIMc", fsim, True, 1.0, 48),
    Metric("vsi", "VSI", vsi, True, 1.0, 16),
    Metric("vif", "VIFp", vif, True, 1.0, 41),
    Metric("gmsd", "GMSD", gmsd, False, 0.0, 6),
    Metric("nlpd", "NLPD", nlpd, False, 0.0, 32),
    Metric("mad", "MAD", mad, False, 0.0, 48),
    Metric("haarpsi", "HaarPSI", haarpsi, True, 1.0, 16),
    Metric("lpips_alex", "LPIPS-Alex", lpips_alex, False, 0.0, 31, _LPIPS),
    Metric("lpips_vgg", "LPIPS-VGG", lpips_vgg, False, 0.0, 16, _LPIPS),
    Metric("dists", "DISTS", dists, False, 0.0, 16, _DISTS),
    Metric("wasserstein", "Wasserstein distortion", wasserstein, False, 0.0, 16, _WASSERSTEIN),
    Metric("flat_colour", "flat colour (Delta E)", flat_colour, False, 0.0, 32, _FLAT),
    Metric("ssimulacra2", "SSIMULACRA2", ssimulacra2, True, 100.0, 8, "version 2.1", True),
    Metric("butteraugli", "Butteraugli", butteraugli, False, 0.0, 8, _BUTTERAUGLI, True),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
# Measured together or not at all: a model trained for one of them looks better by it.
TOGETHER = ("lpips_alex", "lpips_vgg")
# What a metric may raise: XLA's errors are RuntimeErrors.
FAILURES = (ValueError, ArithmeticError, RuntimeError, ImportError, OSError, MemoryError)


def check_programs(names: Sequence[str]) -> None:
    """Raises FileNotFoundError or RuntimeError for a metric whose program is missing or another."""
    for name in names:
        if METRICS[name].by_program:
            libjxl_programs.check_program(name)


def compare(name: str, image: np.ndarray, reference: np.ndarray) -> float:
    """The metric `name` of a decoded image.

    Args:
      name: a key of METRICS.
      image: uint8 [H, W, 3], the decoded image, both sides at least the metric's `min_side`.
      reference: the original, of the same shape. For VIF the order matters.

    Raises:
      ValueError: for another name, or images that break the rules above.
    """
    if name not in METRICS:
        raise ValueError(f"metric is {name!r}; it must be one of {', '.join(METRICS)}.")
    _check(METRICS[name], image, reference)
    return METRICS[name].function(image, reference)


def compare_all(
    names: Sequence[str], image: np.ndarray, reference: np.ndarray
) -> dict[str, float | Exception]:
    """Several metrics of one decoded image, or what each of them raised; the same as `compare`.

    Quicker, since metrics that look through the same network share what they can.
    """
    shared = [name for name in names if name in shared_vgg.NAMES]
    if len(shared) < 2 or math.prod(image.shape[:2]) > shared_vgg.MAX_PIXELS:
        shared = []
    values: dict[str, float | Exception] = {}
    for name in names:
        try:
            if name in values:
                continue
            if name in shared:
                _check(METRICS[name], image, reference)
                values |= shared_vgg.compare_by_vgg(shared, image, reference)
            else:
                values[name] = compare(name, image, reference)
        except FAILURES as error:
            values |= dict.fromkeys(shared if name in shared else [name], error)
    return values


def _check(metric: Metric, image: np.ndarray, reference: np.ndarray) -> None:
    for what, each in (("image", image), ("reference", reference)):
        if each.dtype != np.uint8 or each.ndim != 3 or each.shape[-1] != 3:
            raise ValueError(f"{what} is {each.dtype} {each.shape}; must be uint8 [H, W, 3].")
    if image.shape != reference.shape:
        raise ValueError(
            f"image is {image.shape} and reference {reference.shape}; they must be equal."
        )
    height, width = image.shape[:2]
    if min(height, width) < metric.min_side:
        raise ValueError(
            f"image is {height}x{width} pixels; {metric.label} needs at least "
            f"{metric.min_side}x{metric.min_side}."
        )
