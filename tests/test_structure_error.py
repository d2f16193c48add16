"""MS-SSIM as a loss: the metric's value, a usable gradient, and small crops."""

import jax
import numpy as np
import pytest

from diffcomp.distances.structure_error import structure_error
from diffcomp.evaluation.metrics.structural import ms_ssim, ssim


def pictures(side, deviation, seed=0):
    """Two uint8 pictures [side, side, 3] of smooth ground with detail, one with added noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side][..., None] / side
    ground = 120 + 60 * np.sin(9 * rows + np.arange(3)) + 40 * np.cos(23 * columns * rows)
    x = ground + rng.normal(0, 8, (side, side, 3))
    noisy = x + rng.normal(0, deviation, x.shape)
    return [np.uint8(np.clip(picture, 0, 255)) for picture in (x, noisy)]


def to_unit(picture):
    return np.float32(picture)[None] / 127.5 - 1


@pytest.mark.parametrize("side", [192, 256])
@pytest.mark.parametrize("deviation", [4.0, 40.0])
def test_it_is_one_less_the_metric(side, deviation):
    x, x_hat = pictures(side, deviation)
    error = jax.jit(structure_error)(to_unit(x), to_unit(x_hat))
    assert error == pytest.approx(1 - ms_ssim(x_hat, x), abs=2e-5)
    assert error > 1e-3


def test_a_crop_with_room_for_one_scale_gives_ssim():
    x, x_hat = pictures(16, 20.0)
    assert structure_error(to_unit(x), to_unit(x_hat)) == pytest.approx(
        1 - ssim(x_hat, x), abs=2e-3
    )


@pytest.mark.parametrize("side", [64, 128])
def test_small_crops_have_fewer_scales(side):
    x, x_hat = (to_unit(picture) for picture in pictures(side, 20.0))
    worse = to_unit(pictures(side, 60.0)[1])
    assert structure_error(x, x) == pytest.approx(0, abs=1e-6)
    assert 0.01 < structure_error(x, x_hat) < structure_error(x, worse)


def test_the_gradient_is_finite_and_goes_downhill_where_nothing_is_alike():
    x = np.concatenate([to_unit(picture) for picture in pictures(176, 30.0)])
    x_hat = np.concatenate([-x[:1], np.zeros_like(x[:1])])  # the negative, and flat grey
    error, gradient = jax.jit(
        jax.value_and_grad(lambda v: structure_error(x, v).sum()),
    )(x_hat)
    assert np.isfinite(gradient).all()
    step = 1e-3 * gradient / np.abs(gradient).max()
    assert structure_error(x, x_hat - step).sum() < error
