"""The colour error of flat areas."""

import numpy as np
import pytest
from pictures import noise

from diffcomp.evaluation.metrics.catalogue import compare
from diffcomp.evaluation.metrics.flat_colour import flat_colour


def flat(colour, height=64, width=96):
    return np.full((height, width, 3), colour, np.uint8)


def test_known_differences_in_cielab():
    """Black and white are 100 apart, primary red and blue 176.3 (by CIE 15 and IEC 61966-2-1)."""
    assert flat_colour(flat(0), flat(255)) == pytest.approx(100, abs=1e-3)
    red, blue = flat((255, 0, 0)), flat((0, 0, 255))
    assert flat_colour(red, blue) == pytest.approx(176.3, abs=0.1)
    assert flat_colour(red, red) == 0


def test_only_flat_cells_of_the_reference_count():
    reference = flat((120, 90, 60))
    reference[:, 32:64] = noise(0, 64, 32)
    image = reference.copy()
    image[:, 32:64] = 0
    assert flat_colour(image, reference) == 0
    image[:32, :32] = (130, 90, 60)  # one of four flat cells
    whole = flat_colour(flat((130, 90, 60)), flat((120, 90, 60)))
    assert flat_colour(image, reference) == pytest.approx(whole / 4) and whole > 2


def test_grain_is_no_error_but_a_shift_is():
    """Means count: what a codec smooths away is not missed, nor what it adds without a shift."""
    reference = flat((120, 120, 120), 128, 128)
    grain = np.random.default_rng(0).integers(-2, 3, reference.shape)
    grainy = (reference + grain).astype(np.uint8)
    assert flat_colour(grainy, reference) < 0.1 < flat_colour(grainy + np.uint8(1), reference)
    assert flat_colour(reference, grainy) < 0.1


def test_a_picture_without_flat_cells_has_no_value():
    with pytest.raises(ArithmeticError, match="no cell of 32x32 pixels is flat"):
        flat_colour(noise(1, 64, 64), noise(2, 64, 64))
    with pytest.raises(ValueError, match="needs at least 32x32"):
        compare("flat_colour", flat(0, 31, 40), flat(0, 31, 40))


def test_what_is_left_beside_whole_cells_does_not_count():
    reference = flat(100, 70, 100)
    image = reference.copy()
    image[64:] = 0
    image[:, 96:] = 0
    assert flat_colour(image, reference) == 0
