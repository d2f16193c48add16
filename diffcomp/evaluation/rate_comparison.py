"""How far a Bjontegaard rate can be trusted: its interval over pictures, and the pictures alone.

A rate of mean curves is one draw: other pictures would have given another. Its 95 % interval is the
percentile bootstrap's (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter
13): the pictures are drawn anew with replacement, the same for both codecs, and the rate is taken
of each draw's means. If the interval holds 0, these pictures show no difference.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from diffcomp.evaluation.bd_rate import BdRate, bd_rate

RESAMPLES = 1000
LEVEL = 0.95
LEAST_PICTURES = 5  # the bootstrap of fewer is far too narrow
PERCENTILES = (5, 25, 50, 75, 95)
WORST = 5

# bits per pixel and metric by picture, each float64 [points]; NaN where there is no figure
Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Interval:
    """The bootstrap's interval of a rate in percent, or why there is none."""

    low: float | None
    high: float | None
    reason: str  # empty if there is an interval


@dataclasses.dataclass(frozen=True)
class RateComparison:
    """A codec's Bjontegaard rate against an anchor's by one metric, and what it rests on."""

    metric: str
    codec: str
    anchor: str
    rate: BdRate  # of the means over `pictures`
    interval: Interval
    pictures: int  # that have every point of both codecs
    of: int  # all that were measured
    picture_rates: tuple[tuple[str, BdRate], ...]  # of each such picture alone

    @property
    def verdict(self) -> str:
        """What can be said: "smaller" or "larger" files, "no difference", or "not known"."""
        low, high = self.interval.low, self.interval.high
        if low is None or high is None:
            return "not known"
        if low <= 0 <= high:
            return "no difference"
        return "smaller" if high < 0 else "larger"

    @property
    def differences(self) -> list[tuple[str, float]]:
        """(picture, percent) of the pictures that have a rate, the worst for the codec first."""
        found = [(name, r.percent) for name, r in self.picture_rates if r.percent is not None]
        return sorted(found, key=lambda pair: -pair[1])

    @property
    def wins(self) -> int:
        """Pictures of which the codec's files are smaller."""
        return sum(percent < 0 for _, percent in self.differences)

    @property
    def losses(self) -> int:
        """Pictures of which the codec's files are larger."""
        return sum(percent > 0 for _, percent in self.differences)

    @property
    def without(self) -> list[str]:
        """Pictures that have no rate of their own, which may be the worst of all."""
        return [name for name, rate in self.picture_rates if rate.percent is None]

    def percentiles(self) -> dict[int, float]:
        """Of the pictures' rates, in percent; empty without any."""
        values = [percent for _, percent in self.differences]
        if not values:
            return {}
        return dict(zip(PERCENTILES, map(float, np.percentile(values, PERCENTILES)), strict=True))


def compare_rates(
    metric: str, names: tuple[str, str], anchor: Curves, test: Curves, higher_is_better: bool
) -> RateComparison:
    """The comparison of `names`, (codec, anchor), by the curves of each picture.

    A point that half of the pictures or more lack is left out, and then every picture that lacks
    one of the others: all means are over the same pictures.
    """
    of = len(anchor.keys() | test.keys())
    curves, shared = _complete(anchor, test)
    picture_rates = tuple(
        (name, _rate(curves[0][:, i], curves[1][:, i], higher_is_better))
        for i, name in enumerate(shared)
    )
    means = [curve.mean(axis=1) if shared else np.empty((2, 0)) for curve in curves]
    rate = _rate(*means, higher_is_better)
    return RateComparison(
        metric=metric,
        codec=names[0],
        anchor=names[1],
        rate=rate,
        interval=_interval(rate, curves, higher_is_better),
        pictures=len(shared),
        of=of,
        picture_rates=picture_rates,
    )


def _complete(anchor: Curves, test: Curves) -> tuple[list[np.ndarray], list[str]]:
    """Rate and metric [2, pictures, points] of both, of the pictures named that have all points."""
    shared = [name for name in anchor if name in test]
    if not shared:
        return [np.empty((2, 0, 0))] * 2, []
    whole = np.ones(len(shared), bool)
    curves = []
    for each in (anchor, test):
        curve = np.array([each[name] for name in shared]).transpose(1, 0, 2)
        known = np.isfinite(curve).all(axis=0)  # [pictures, points]
        usual = 2 * known.sum(axis=0) > len(shared)
        whole &= known[:, usual].all(axis=1)
        curves.append(curve[:, :, usual])
    names = [name for name, is_whole in zip(shared, whole, strict=True) if is_whole]
    return [curve[:, whole] for curve in curves], names


def _rate(anchor: np.ndarray, test: np.ndarray, higher_is_better: bool) -> BdRate:
    """Of two curves [2, points]."""
    points = [list(zip(*curve.tolist(), strict=True)) for curve in (anchor, test)]
    return bd_rate(points[0], points[1], higher_is_better)


def _interval(rate: BdRate, curves: Sequence[np.ndarray], higher_is_better: bool) -> Interval:
    count = curves[0].shape[1]
    if rate.percent is None:
        return Interval(None, None, "there is no rate")
    if count < LEAST_PICTURES:
        return Interval(None, None, f"{count} pictures; an interval takes {LEAST_PICTURES}")
    drawn = np.random.default_rng(0).multinomial(count, [1 / count] * count, RESAMPLES) / count
    # [2, draws, points], summed picture by picture
    means = [np.einsum("dn,cnp->cdp", drawn, curve) for curve in curves]
    found = [
        _rate(means[0][:, i], means[1][:, i], higher_is_better).percent for i in range(RESAMPLES)
    ]
    known = [percent for percent in found if percent is not None]
    if len(known) < LEVEL * RESAMPLES:
        missing = RESAMPLES - len(known)
        return Interval(None, None, f"{missing} of {RESAMPLES} draws of the pictures have no rate")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), "")
