"""Distances between images, by name."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from diffcomp import metrics, perceptual
from diffcomp.pixels import to_float


@dataclasses.dataclass(frozen=True)
class Metric:
    """A figure per image: uint8 [B, H, W, 3] images and references -> float64 [B]."""

    name: str
    label: str
    function: Callable[[np.ndarray, np.ndarray], np.ndarray]
    higher_is_better: bool
    ideal: float  # of identical images
    min_side: int  # pixels


def _psnr(images: np.ndarray, references: np.ndarray) -> np.ndarray:
    return np.array([metrics.psnr(*pair) for pair in zip(images, references, strict=True)])


_lpips = jax.jit(lambda w, x, x_hat: perceptual.lpips(w, to_float(x), to_float(x_hat)))


def _lpips_alex(images: np.ndarray, references: np.ndarray) -> np.ndarray:
    values = _lpips(perceptual.load_lpips("alex"), references, images)
    return np.asarray(values, np.float64)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("psnr", "PSNR (dB)", _psnr, True, np.inf, 1),
        Metric("lpips_alex", "LPIPS-Alex", _lpips_alex, False, 0.0, 31),
    )
}


def measure(name: str, images: np.ndarray, references: np.ndarray) -> np.ndarray:
    """The metric `name` of each pair, float64 [B]."""
    return METRICS[name].function(images, references)
