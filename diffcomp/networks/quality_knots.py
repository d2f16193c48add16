"""Parameters that depend on the quality, given at a few knots."""

from typing import Any

import jax.numpy as jnp

from diffcomp.coding.quality import normalized_quality


def interpolate_knots(knots: Any, quality: Any) -> Any:
    """Linear interpolation of knots [K, C], spread evenly over [1, 8], at quality [B] -> [B, C].

    Piecewise-linear weights, max(0, 1 - |position - k|), so it works alike for both array kinds.
    """
    count = knots.shape[0]
    position = normalized_quality(quality) * (count - 1)
    weights = 1 - abs(position[:, None] - jnp.arange(count)[None, :])
    return jnp.maximum(weights, 0.0) @ knots
