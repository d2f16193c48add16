"""The linear codec that training starts from: principal components of image patches.

With y = W^T (patch - mean), W orthonormal, squared error in y is squared error in pixels, and at
high rate the best uniform quantiser has one step for all channels (Gersho & Gray 1992, ch. 8).
"""

import math
from collections.abc import Iterable

import numpy as np

from diffcomp.coding.grid import Y_STRIDE
from diffcomp.coding.quality import MAX_QUALITY, MIN_QUALITY
from diffcomp.coding.space_to_depth import space_to_depth
from diffcomp.networks.config import ModelConfig
from diffcomp.networks.transforms import PATCH_VALUES
from diffcomp.objectives.base import lmbda
from diffcomp.objectives.config import LossConfig
from diffcomp.params import Params


def patch_covariance(batches: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean [768] and covariance [768, 768] of 16x16x3 patches of float images [B, H, W, 3]."""
    count, total = 0, np.zeros(PATCH_VALUES)
    second = np.zeros((PATCH_VALUES, PATCH_VALUES))
    for x in batches:
        patches = space_to_depth(x, Y_STRIDE).reshape(-1, PATCH_VALUES).astype(np.float64)
        count += len(patches)
        total += patches.sum(axis=0)
        second += patches.T @ patches
    if count < 2 * PATCH_VALUES:
        raise ValueError(f"{count} patches are too few; take at least {2 * PATCH_VALUES}.")
    mean = total / count
    return mean, second / count - np.outer(mean, mean)


def linear_codec(
    mean: np.ndarray, covariance: np.ndarray, model: ModelConfig, loss: LossConfig
) -> Params:
    """Parameters of the linear path and of the gains, by their path in the model's tree.

    y is in units of the components' deviations; the gain of a channel at quality q is deviation /
    step(q), where a step's noise step^2 / 12 balances bits at lmbda(q) (d bits / d mse).
    """
    eigenvalues, vectors = np.linalg.eigh(covariance)
    order = np.argsort(eigenvalues)[::-1][: model.latent_channels]
    spread = np.sqrt(np.maximum(eigenvalues[order], 1e-10))
    basis = vectors[:, order]
    quality = np.linspace(MIN_QUALITY, MAX_QUALITY, model.quality_knots)
    # One coefficient's squared error adds error^2 * 127.5^2 / 3 to the mse of one pixel.
    per_coefficient = np.asarray(lmbda(loss, quality)) * 127.5**2 / 3
    step = np.sqrt(12 / (2 * math.log(2) * per_coefficient))
    return {
        "hyperprior/analysis/basis": (basis / spread).astype(np.float32),
        "hyperprior/analysis/offset": mean.astype(np.float32),
        "context_decoder/basis": (basis * spread).T.astype(np.float32),
        "context_decoder/offset": mean.astype(np.float32),
        "hyperprior/log2_gain": np.log2(spread[None, :] / step[:, None]).astype(np.float32),
    }
