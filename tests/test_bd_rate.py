"""Bjontegaard rates against what they are by definition."""

import numpy as np
import pytest

from diffcomp.evaluation.bd_rate import bd_rate

RATES = np.array([0.1, 0.2, 0.4, 0.8, 1.6])


def curve(rates, values):
    return list(zip(rates, values, strict=True))


def logarithmic(rates):
    """6 dB for each doubling of the rate: exact under interpolation of the logarithm."""
    return 30 + 6 * np.log2(rates)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 1.25])
def test_files_of_a_constant_factor(factor):
    values = logarithmic(RATES)
    found = bd_rate(curve(RATES, values), curve(factor * RATES, values), higher_is_better=True)
    assert found.percent == pytest.approx(100 * (factor - 1), abs=1e-9)
    assert (found.low, found.high, found.share, found.reason) == (values[0], values[-1], 1, "")


def test_a_distance_gives_the_same_as_its_negative():
    values = logarithmic(RATES)
    better = curve(0.8 * RATES, values + 0.5 * np.sin(RATES))
    expected = bd_rate(curve(RATES, values), better, higher_is_better=True)
    found = bd_rate(
        curve(RATES, -values), [(rate, -value) for rate, value in better], higher_is_better=False
    )
    assert found.percent == expected.percent < -20
    assert (found.low, found.high) == (-expected.high, -expected.low)


def test_only_the_common_range_counts():
    """Two lines in log rate that cross in its middle: equal on average."""
    anchor = curve(2.0 ** np.arange(5), np.arange(5.0))
    test = curve(2.0 ** (2 + 2 * np.arange(-2, 3.0)), np.arange(5.0))
    found = bd_rate(anchor, test, higher_is_better=True)
    assert found.percent == pytest.approx(0, abs=1e-9)
    shifted = bd_rate(anchor, [(r, v + 2) for r, v in anchor], higher_is_better=True)
    assert (shifted.low, shifted.high) == (2, 4)
    assert shifted.share == pytest.approx(2 / 6)
    assert shifted.percent == pytest.approx(100 * (2.0**-2 - 1))


def test_a_sliver_of_the_qualities_gives_no_rate():
    anchor = curve(2.0 ** np.arange(5), np.arange(5.0))
    enough, sliver = (
        bd_rate(anchor, [(r, v + shift) for r, v in anchor], higher_is_better=True)
        for shift in (2.4, 2.41)
    )
    assert enough.share == pytest.approx(0.25) and enough.percent < 0
    assert sliver.percent is None and sliver.share < 0.25
    assert sliver.reason == "the curves share 25% of their qualities; it takes 25%"


def test_order_and_number_of_points_do_not_matter():
    anchor, test = curve(RATES, logarithmic(RATES)), curve(RATES[:4], logarithmic(RATES[:4]) + 1)
    expected = bd_rate(anchor, test, higher_is_better=True)
    assert bd_rate(anchor[::-1], test[::-1], higher_is_better=True) == expected
    assert expected.percent == pytest.approx(100 * (2 ** (-1 / 6) - 1))


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        (curve(RATES[:3], [1, 2, 3]), "codec: 3 points; a Bjontegaard rate takes 4"),
        ([], "codec: 0 points"),
        (curve(RATES, [1, 2, 2, 3, 4]), "not monotone in rate: no better at 0.400 than at 0.200"),
        (curve(RATES, [1, 2, 3, 4, np.inf]), "codec: a value is infinite"),
        (curve(RATES, [51, 52, 53, 54, 55]), "the curves have no quality in common"),
    ],
)
def test_curves_without_a_rate(test, reason):
    anchor = curve(RATES, [1, 2, 3, 4, 5])
    found = bd_rate(anchor, test, higher_is_better=True)
    assert found.percent is None and reason in found.reason
    if len(test) < 5 or "common" not in reason:
        assert bd_rate(test, anchor, higher_is_better=True).reason.startswith("anchor: ")
