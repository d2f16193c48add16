import dataclasses
import math

import numpy as np
import pytest
import small_model
from small_model import LOSS

from diffcomp.coding.quality import MAX_QUALITY, MIN_QUALITY
from diffcomp.coding.space_to_depth import depth_to_space, space_to_depth
from diffcomp.networks.transforms import PATCH_VALUES
from diffcomp.objectives.karhunen_loeve import linear_codec, patch_covariance

KEPT = 40
MODEL = dataclasses.replace(small_model.MODEL, latent_channels=KEPT)


@pytest.fixture(scope="module")
def images():
    """Three batches of smooth noise around grey 0.2: float32 [2, 256, 256, 3] each."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 2, 256, 256, 3))
    for axis in (2, 3):
        for shift in (1, 2, 4, 8):
            x = x + np.roll(x, shift, axis)
    return (0.2 + 0.3 * x / x.std()).astype(np.float32)


@pytest.fixture(scope="module")
def moments(images):
    return patch_covariance(images)


@pytest.fixture(scope="module")
def codec(moments):
    return linear_codec(*moments, MODEL, LOSS)


def patches_of(images):
    return np.concatenate([space_to_depth(x, 16).reshape(-1, PATCH_VALUES) for x in images])


def test_mean_and_covariance_are_those_of_the_patches(images, moments):
    patches = patches_of(images).astype(np.float64)
    np.testing.assert_allclose(moments[0], patches.mean(axis=0), atol=1e-10)
    np.testing.assert_allclose(moments[1], np.cov(patches.T, bias=True), atol=1e-10)


def test_too_few_patches_are_refused_with_their_number(images):
    with pytest.raises(ValueError, match="1280 patches are too few; take at least 1536"):
        patch_covariance([*images[:2], images[2, :1]])


def test_the_basis_is_orthonormal_once_the_spread_is_undone(codec):
    analysis, synthesis = codec["hyperprior/analysis/basis"], codec["context_decoder/basis"]
    spread = np.linalg.norm(synthesis, axis=1)
    np.testing.assert_allclose(np.linalg.norm(analysis, axis=0), 1 / spread, rtol=1e-5)
    basis = analysis * spread
    np.testing.assert_allclose(basis.T @ basis, np.eye(KEPT), atol=1e-5)
    np.testing.assert_allclose(basis.T, synthesis / spread[:, None], atol=1e-6)


def test_y_has_zero_mean_and_uncorrelated_components_of_unit_variance(images, codec):
    offset, basis = codec["hyperprior/analysis/offset"], codec["hyperprior/analysis/basis"]
    y = (patches_of(images) - offset) @ basis
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(y.T, bias=True), np.eye(KEPT), atol=1e-3)


def test_components_come_in_falling_order_of_spread(moments, codec):
    spread = np.linalg.norm(codec["context_decoder/basis"], axis=1)
    assert (np.diff(spread) <= 0).all()
    largest = np.linalg.eigvalsh(moments[1])[::-1][:KEPT]
    np.testing.assert_allclose(spread**2, largest, rtol=1e-4)


def test_the_error_without_quantisation_is_the_sum_of_the_discarded_eigenvalues(
    images, moments, codec
):
    discarded = np.linalg.eigvalsh(moments[1])[:-KEPT].sum()
    error, count = 0.0, 0
    for x in images:
        y = space_to_depth(x, 16) - codec["hyperprior/analysis/offset"]
        y_hat = y @ codec["hyperprior/analysis/basis"]
        patches = y_hat @ codec["context_decoder/basis"] + codec["context_decoder/offset"]
        error += np.sum((x - depth_to_space(patches, 16)).astype(np.float64) ** 2)
        count += y.shape[0] * y.shape[1] * y.shape[2]
    assert error / count == pytest.approx(discarded, rel=1e-4)


def test_shapes_and_types(codec):
    shapes = {
        "hyperprior/analysis/basis": (PATCH_VALUES, KEPT),
        "hyperprior/analysis/offset": (PATCH_VALUES,),
        "context_decoder/basis": (KEPT, PATCH_VALUES),
        "context_decoder/offset": (PATCH_VALUES,),
        "hyperprior/log2_gain": (8, KEPT),
    }
    assert {path: value.shape for path, value in codec.items()} == shapes
    assert {value.dtype for value in codec.values()} == {np.dtype(np.float32)}


def test_gains_give_all_components_one_step_in_pixels_that_balances_rate_and_error(codec):
    """At high rate, bits = h - log2(step) and error = step^2 / 12 per coefficient: the step is
    where bits per pixel + lmbda mse has its minimum, for the 768 coefficients of 256 pixels."""
    spread = np.linalg.norm(codec["context_decoder/basis"], axis=1)
    step = spread / np.exp2(codec["hyperprior/log2_gain"].astype(np.float64))  # in pixel values
    np.testing.assert_allclose(step, np.broadcast_to(step[:, :1], step.shape), rtol=1e-4)

    def cost(step, weight):
        bpp = -3 * math.log2(step)
        mse = step**2 / 12 * 127.5**2
        return bpp + weight * mse

    for quality, found in zip(np.linspace(MIN_QUALITY, MAX_QUALITY, 8), step[:, 0], strict=True):
        weight = 0.0002 * 100 ** ((quality - 1) / 7)
        for other in (0.99 * found, 1.01 * found):
            assert cost(found, weight) < cost(other, weight)


def test_components_without_variance_stay_finite(moments):
    mean, covariance = moments
    flat = np.zeros_like(covariance)
    flat[:10, :10] = covariance[:10, :10]
    params = linear_codec(mean, flat, MODEL, LOSS)
    assert all(np.isfinite(value).all() for value in params.values())
