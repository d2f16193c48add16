import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_model import MODEL as CONFIG
from small_model import normal, perturbed

from diffcomp.networks.transforms import (
    PATCH_VALUES,
    AnalysisTransform,
    ContextDecoder,
    HyperAnalysis,
)


def initialised(module, *args):
    variables = jax.jit(module.init)(jax.random.key(0), *args)
    return variables, jax.jit(module.apply, static_argnames="method")


@pytest.fixture(scope="module")
def analysis():
    return initialised(AnalysisTransform(CONFIG), normal(1, (2, 64, 64, 3)), normal(2, (2, 7)))


@pytest.fixture(scope="module")
def decoder():
    return initialised(ContextDecoder(CONFIG), normal(1, (2, 4, 4, 12)), normal(2, (2, 7)))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 128), (128, 128)])
def test_y_has_a_position_per_16_pixels_and_z_one_per_64(analysis, height, width):
    variables, apply = analysis
    y = jax.eval_shape(apply, variables, jnp.zeros((2, height, width, 3)), jnp.zeros((2, 7)))
    assert y.shape == (2, height // 16, width // 16, 12)
    z, _ = jax.eval_shape(HyperAnalysis(CONFIG).init_with_output, jax.random.key(0), y)
    assert z.shape == (2, height // 64, width // 64, 5)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 128), (128, 128)])
def test_context_maps_stand_at_their_strides(decoder, height, width):
    variables, apply = decoder
    y_hat = jnp.zeros((2, height // 16, width // 16, 12))
    maps = jax.eval_shape(apply, variables, y_hat, jnp.zeros((2, 7)))
    assert maps.c4.shape == (2, height // 4, width // 4, 4)
    assert maps.c8.shape == (2, height // 8, width // 8, 6)
    assert maps.c16.shape == (2, height // 16, width // 16, 8)
    assert maps.base.shape == (2, height, width, 3)


def test_the_analysis_starts_linear(analysis):
    variables, apply = analysis
    x, e = normal(1, (2, 64, 64, 3)), normal(2, (2, 7))
    linear = apply(variables, x, method="linear")
    np.testing.assert_array_equal(apply(variables, x, e), linear)
    moved = perturbed(variables)
    difference = apply(moved, x, e) - apply(moved, x, method="linear")
    assert np.abs(difference).max() > 0.01  # and does not stay so


def test_the_base_starts_as_the_linear_reconstruction(decoder):
    variables, apply = decoder
    y_hat, e = normal(1, (2, 4, 4, 12)), normal(2, (2, 7))
    linear = apply(variables, y_hat, method="linear")
    np.testing.assert_array_equal(apply(variables, y_hat, e).base, linear)
    moved = perturbed(variables)
    difference = apply(moved, y_hat, e).base - apply(moved, y_hat, method="linear")
    assert np.abs(difference).max() > 0.01


def test_the_linear_analysis_projects_each_patch_on_the_basis(analysis):
    variables, apply = analysis
    variables = perturbed(variables)
    params = {name: np.asarray(variables["params"][name]) for name in ("basis", "offset")}
    x = normal(1, (1, 64, 64, 3))
    patch = np.asarray(x)[0, 16:32, 48:64].reshape(PATCH_VALUES)
    expected = (patch - params["offset"]) @ params["basis"]
    y = apply(variables, x, method="linear")
    np.testing.assert_allclose(y[0, 1, 3], expected, rtol=1e-4, atol=1e-4)


def test_the_linear_reconstruction_inverts_the_analysis_on_its_span(analysis, decoder):
    """With one orthonormal basis, analysis of a reconstruction gives the same y again."""
    basis = np.asarray(analysis[0]["params"]["basis"])
    np.testing.assert_allclose(basis.T @ basis, np.eye(12), atol=1e-5)
    tied = {"params": {**decoder[0]["params"], "basis": jnp.asarray(basis.T)}}
    y = normal(3, (1, 4, 4, 12))
    again = analysis[1](analysis[0], decoder[1](tied, y, method="linear"), method="linear")
    np.testing.assert_allclose(again, y, atol=1e-5)


def test_z_is_finite_for_zeros_and_for_huge_coefficients():
    y = normal(1, (1, 4, 4, 12))
    variables, apply = initialised(HyperAnalysis(CONFIG), y)
    for scale in (0.0, 1.0, 1e6):
        z = apply(variables, scale * y)
        assert np.isfinite(z).all()
        assert np.abs(z).max() < 1e3
    gradient = jax.grad(lambda y: jnp.sum(apply(variables, y) ** 2))(jnp.zeros_like(y))
    assert np.isfinite(gradient).all()
