import numpy as np
import pytest
import scipy.signal

from diffcomp.evaluation.metrics.planes import (
    gradient_magnitude,
    gray_levels,
    luma,
    shrink,
    similarity,
    viewing_factor,
    yiq,
)


def test_luma_and_gray_levels_of_known_colors():
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 200, 200]]], np.uint8)
    np.testing.assert_allclose(luma(image), [[76.245, 149.685, 29.07, 200]])
    np.testing.assert_array_equal(gray_levels(image), [[76, 150, 29, 200]])
    # 0.299 * 2 + 0.587 * 0 + 0.114 * 8 = 1.51; 0.299 * 0 + 0.587 * 2 + 0.114 * 20 = 3.454.
    np.testing.assert_array_equal(
        gray_levels(np.array([[[2, 0, 8], [0, 2, 20]]], np.uint8)), [[2, 3]]
    )
    y, i, q = yiq(image)
    np.testing.assert_array_equal(y, luma(image))
    np.testing.assert_allclose([i[0, 3], q[0, 3]], 0, atol=1e-10)
    assert i[0, 0] > 0 > i[0, 2] and q[0, 0] > 0 > q[0, 1]


@pytest.mark.parametrize("factor, height, width", [(1, 4, 5), (2, 13, 8), (3, 11, 15), (4, 12, 7)])
def test_shrinking_is_a_convolution_that_is_sampled(factor, height, width):
    plane = np.random.default_rng(1).uniform(0, 255, (height, width))
    full = scipy.signal.convolve2d(plane, np.full((factor, factor), 1 / factor**2))
    # MATLAB's choice of the central part.
    start = factor // 2
    central = full[start : start + height, start : start + width]
    np.testing.assert_allclose(shrink(plane, factor), central[::factor, ::factor], atol=1e-10)


@pytest.mark.parametrize(
    "side, factor", [(10, 1), (383, 1), (384, 2), (512, 2), (639, 2), (640, 3), (2000, 8)]
)
def test_the_viewing_factor_rounds_halves_upwards(side, factor):
    assert viewing_factor(np.zeros((side, side + 9, 3), np.uint8)) == factor
    assert viewing_factor(np.zeros((side + 9, side, 3), np.uint8)) == factor


def test_gradient_of_a_ramp_is_its_slope():
    row, column = np.indices((9, 11))
    gradient = gradient_magnitude(3.0 * row + 4.0 * column, (3 / 16, 10 / 16, 3 / 16))
    np.testing.assert_allclose(gradient[1:-1, 1:-1], 10)  # over two pixels


def test_similarity_is_one_where_both_are_equal():
    a, b = np.array([0.0, 5.0, 1.0]), np.array([0.0, 5.0, 3.0])
    np.testing.assert_allclose(similarity(a, b, 2.0), [1, 1, 8 / 12])
