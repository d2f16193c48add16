"""Bjontegaard rate: how much larger, on average, files of equal quality are than an anchor's.

Between the qualities that both curves reach, the logarithm of the rate is interpolated over the
metric by monotone cubic pieces (PCHIP), averaged, and compared. Source: Bjontegaard, "Calculation
of average PSNR differences between RD-curves", VCEG-M33, 2001; the computation is the package
`bjontegaard`'s (Herglotz et al., 2022). A rate of curves that are not monotone, of too few points
or of a sliver of the qualities is a number like any other to look at, so there is none of them.
"""

import dataclasses
from collections.abc import Sequence

import bjontegaard
import numpy as np

METHOD = "pchip"
LEAST_POINTS = 4
LEAST_OVERLAP = 0.25  # of the range of qualities that either curve covers


@dataclasses.dataclass(frozen=True)
class BdRate:
    """A Bjontegaard rate, or why there is none."""

    percent: float | None  # negative: smaller files than the anchor's
    low: float | None  # the metric's range over which the curves are compared
    high: float | None
    share: float | None  # of the range that either curve covers, 0 to 1
    reason: str  # empty if there is a rate


def bd_rate(
    anchor: Sequence[tuple[float, float]],
    test: Sequence[tuple[float, float]],
    higher_is_better: bool,
) -> BdRate:
    """Bjontegaard rate of points (bits per pixel, metric), in any order.

    A curve of fewer than four points, one on which the metric does not improve with the rate
    throughout, and curves that share less than a quarter of their qualities have none; `reason`
    says so.
    """
    curves = {}
    for name, points in (("anchor", anchor), ("codec", test)):
        rate, value = np.array(sorted(points), np.float64).reshape(-1, 2).T
        value = value if higher_is_better else -value
        if reason := _fault(rate, value):
            return BdRate(None, None, None, None, f"{name}: {reason}")
        curves[name] = (rate, value)
    (anchor_rate, anchor_value), (rate, value) = curves.values()
    low, high = max(anchor_value[0], value[0]), min(anchor_value[-1], value[-1])
    share = max(high - low, 0) / (max(anchor_value[-1], value[-1]) - min(anchor_value[0], value[0]))
    if not share:
        return BdRate(None, None, None, 0.0, "the curves have no quality in common")
    bounds = (low, high) if higher_is_better else (-high, -low)
    if share < LEAST_OVERLAP:
        reason = f"the curves share {share:.0%} of their qualities; it takes {LEAST_OVERLAP:.0%}"
        return BdRate(None, float(bounds[0]), float(bounds[1]), float(share), reason)
    percent = bjontegaard.bd_rate(
        anchor_rate,
        anchor_value,
        rate,
        value,
        method=METHOD,
        require_matching_points=False,
        min_overlap=0,
    )
    return BdRate(float(percent), float(bounds[0]), float(bounds[1]), float(share), "")


def _fault(rate: np.ndarray, value: np.ndarray) -> str:
    if len(rate) < LEAST_POINTS:
        return f"{len(rate)} points; a Bjontegaard rate takes {LEAST_POINTS}"
    if not np.isfinite(value).all():
        return "a value is infinite"
    worse = np.flatnonzero((np.diff(value) <= 0) | (np.diff(rate) <= 0))
    if len(worse):
        at = worse[0]
        return f"not monotone in rate: no better at {rate[at + 1]:.3f} than at {rate[at]:.3f} bpp"
    return ""
