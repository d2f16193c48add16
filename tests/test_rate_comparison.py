"""Intervals over pictures, wins and losses, and which pictures count."""

import numpy as np
import pytest

from diffcomp.evaluation.rate_comparison import compare_rates

LADDER = np.array([0.1, 0.2, 0.4, 0.8])


def curves(factors, values=None):
    """Curves of pictures a, b, ..., whose files are `factors` as large at the same qualities."""
    values = np.array([20.0, 24, 28, 32]) if values is None else values
    return {chr(97 + i): (factor * LADDER, values) for i, factor in enumerate(factors)}


def compare(anchor, test):
    return compare_rates("psnr", ("new", "old"), anchor, test, higher_is_better=True)


def test_pictures_that_agree_have_a_narrow_interval():
    found = compare(curves([1] * 20), curves(np.linspace(0.78, 0.82, 20)))
    assert found.rate.percent == pytest.approx(-20)
    assert -21 < found.interval.low < -20 < found.interval.high < -19
    assert found.verdict == "smaller" and (found.wins, found.losses) == (20, 0)
    assert compare(curves(np.full(20, 0.8)), curves([1] * 20)).verdict == "larger"


def test_pictures_that_do_not_agree_are_no_difference():
    factors = [0.5, 0.6, 0.7, 0.9, 1.1, 1.3, 1.4, 1.6]
    found = compare(curves([1] * 8), curves(factors))
    assert found.interval.low < 0 < found.interval.high and found.verdict == "no difference"
    assert (found.wins, found.losses) == (4, 4)
    assert [name for name, _ in found.differences] == list("hgfedcba")
    assert found.differences[0][1] == pytest.approx(60)
    assert found.percentiles()[50] == pytest.approx(0)


def test_the_interval_is_as_wide_as_theory_has_it():
    """Of pictures that differ in one factor the mean rate is the mean factor, nearly normal."""
    factors = 0.9 + 0.1 * np.random.default_rng(1).normal(size=24)
    found = compare(curves([1] * 24), curves(factors))
    error = 100 * factors.std() / np.sqrt(24)
    mean = 100 * (factors.mean() - 1)
    assert found.interval.low == pytest.approx(mean - 1.96 * error, abs=0.3 * error)
    assert found.interval.high == pytest.approx(mean + 1.96 * error, abs=0.3 * error)


def test_the_same_pictures_are_drawn_for_both():
    """Pictures differ by much more than the codecs do."""
    sizes = np.geomspace(0.2, 5, 12)
    found = compare(curves(sizes), curves(0.95 * sizes))
    assert found.interval.low == pytest.approx(-5) and found.interval.high == pytest.approx(-5)
    assert found.interval == compare(curves(sizes), curves(0.95 * sizes)).interval


def test_few_pictures_have_no_interval():
    found = compare(curves([1] * 4), curves([0.5] * 4))
    assert found.rate.percent == pytest.approx(-50)
    assert found.verdict == "not known" and found.interval.low is None
    assert found.interval.reason == "4 pictures; an interval takes 5"


def test_a_picture_without_a_point_counts_for_neither_codec():
    test = curves([0.5] * 6)
    test["a"] = (np.array([5, np.nan, 5, 5]), np.array([99, np.nan, 99, 99]))
    found = compare(curves([1] * 6), test)
    assert (found.pictures, found.of) == (5, 6)
    assert found.rate.percent == pytest.approx(-50)
    test["b"] = (LADDER, np.array([20, 24, 28, np.inf]))  # lossless: no mean has it
    assert compare(curves([1] * 6), test).pictures == 4


def test_a_point_that_most_pictures_lack_is_left_out_instead():
    test = {
        name: (np.append(bpp, np.nan), np.append(value, np.nan))
        for name, (bpp, value) in curves([0.5] * 6).items()
    }
    test["a"] = (np.append(0.5 * LADDER, 0.8), np.array([20, 24, 28, 32, 36.0]))
    found = compare(curves([1] * 6), test)
    assert found.pictures == 6 and found.rate.percent == pytest.approx(-50)


def test_pictures_without_a_rate_are_named():
    test = curves([0.5] * 6) | {"c": (LADDER, np.array([60.0, 64, 68, 72]))}
    found = compare(curves([1] * 6), test)
    assert found.without == ["c"] and found.wins == 5
    assert dict(found.picture_rates)["c"].reason == "the curves have no quality in common"


def test_draws_that_have_no_rate_are_no_interval():
    """Whether the mean curve is monotone hangs on the one picture that is drawn or not."""
    values = np.array([20, 24, 23.9, 32])
    test = curves([1] * 6, values) | {"f": (LADDER, np.array([20.0, 24, 28, 32]))}
    found = compare(curves([1] * 6), test)
    assert found.rate.percent is not None
    assert "of 1000 draws of the pictures have no rate" in found.interval.reason
    assert found.verdict == "not known"


def test_no_picture_in_common_is_no_rate():
    found = compare({}, curves([1] * 3))
    assert found.rate.reason == "anchor: 0 points; a Bjontegaard rate takes 4"
    assert (found.pictures, found.of, found.percentiles()) == (0, 3, {})
