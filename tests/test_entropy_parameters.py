"""Tests of the network that picks tables: its wiring, its reach, and its two arithmetics."""

import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model
from flax.traverse_util import unflatten_dict

from diffcomp.coding import entropy_parameters
from diffcomp.coding.checkerboard_coder import ACTIVATION_BITS
from diffcomp.coding.entropy_parameters import SLOPE
from diffcomp.coding.fixed_point import LARGEST_ACTIVATION, PARAMETER_BITS, FixedPointLayers
from diffcomp.networks.hyperprior import FloatLayers
from diffcomp.networks.parts import CODED_LAYERS

ACTIVATION = 2.0**ACTIVATION_BITS
PARAMETER = 2.0**PARAMETER_BITS


class Wiring:
    """Layers that compute nothing but check channels against `layer_shapes`, and count calls."""

    def __init__(self, hyper: int, width: int, latent: int):
        self.shapes = entropy_parameters.layer_shapes(hyper, width, latent)
        self.called: list[str] = []

    def linear(self, name: str, h: np.ndarray) -> np.ndarray:
        _, n_in, n_out = self.shapes[name]
        assert h.shape[-1] == n_in, name
        self.called.append(name)
        return np.zeros((*h.shape[:-1], n_out))

    def activate(self, h: np.ndarray) -> np.ndarray:
        return h


@pytest.fixture(scope="module")
def layers() -> FixedPointLayers:
    return tiny_model.codec().model.coder.layers


def random_z_hat(channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-9, 10, (1, 2, 3, channels)).astype(np.float64)


def random_anchors(height: int, width: int, channels: int) -> np.ndarray:
    """y_hat at the anchors, zero elsewhere, in units of activations."""
    y_hat = np.random.default_rng(1).normal(0, 2, (1, height, width, channels))
    mask = entropy_parameters.anchor_mask(height, width)
    return np.where(mask, np.rint(y_hat * ACTIVATION), 0)


def both_passes(layers: object, z_hat: np.ndarray, anchors: np.ndarray) -> list[np.ndarray]:
    f = entropy_parameters.features(layers, z_hat)
    first = entropy_parameters.first_pass(layers, f)
    seen = entropy_parameters.neighbours(layers, anchors)
    return [first, entropy_parameters.second_pass(layers, f, first, seen)]


def test_channels_fit_and_every_layer_is_called_once() -> None:
    wiring = Wiring(hyper=3, width=5, latent=7)
    first, second = both_passes(wiring, np.zeros((2, 3, 4, 3)), np.zeros((2, 12, 16, 7)))
    assert first.shape == second.shape == (2, 12, 16, 14)
    assert sorted(wiring.called) == sorted(wiring.shapes)


def test_the_tiny_model_has_these_layers(layers) -> None:
    config = tiny_model.codec().model.config
    shapes = entropy_parameters.layer_shapes(
        config.hyper_channels, config.coding_width, config.latent_channels
    )
    found = {name: conv.kernel.shape for name, conv in layers.convs.items()}
    assert found == {name: (side, side, *rest) for name, (side, *rest) in shapes.items()}


def test_the_checkerboard_starts_with_an_anchor_and_alternates() -> None:
    mask = entropy_parameters.anchor_mask(3, 4)
    assert (mask.shape, mask.dtype) == ((1, 3, 4, 1), bool)
    expected = [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]]
    np.testing.assert_array_equal(mask[0, :, :, 0], expected)
    assert entropy_parameters.anchor_mask(1, 1).all()


def test_the_context_of_a_position_is_its_four_neighbours(layers) -> None:
    """An anchor touches the parameters of the non-anchors above, below and beside it only."""
    z_hat = random_z_hat(8)
    anchors = random_anchors(8, 12, 16)
    _, before = both_passes(layers, z_hat, anchors)
    anchors[0, 3, 5] += 4 * ACTIVATION
    _, after = both_passes(layers, z_hat, anchors)
    odd = ~entropy_parameters.anchor_mask(8, 12)[0, :, :, 0]
    changed = np.any(before != after, axis=-1)[0] & odd
    assert sorted(map(tuple, np.argwhere(changed))) == [(2, 5), (3, 4), (3, 6), (4, 5)]


def test_integers_follow_the_float_twin(layers) -> None:
    """Parameters differ by less than rounding can add up to.

    A layer passes on the error of its input times, at most, the sum of its weights' magnitudes.
    Rounding its output adds half a unit of activations, and the floor of the leaky ReLU one more.
    """
    z_hat, anchors = random_z_hat(8), random_anchors(8, 12, 16)
    model = tiny_model.codec().model
    twin = {
        path.removeprefix("hyperprior/parameters/"): jnp.asarray(value)
        for path, value in model.params.items()
        if path.startswith(CODED_LAYERS)
    }
    module, variables = FloatLayers(model.config), {"params": unflatten_dict(twin, sep="/")}
    f, first = module.apply(variables, jnp.float32(z_hat), method="first_pass")
    args = (f, first, jnp.float32(anchors / ACTIVATION))
    second = module.apply(variables, *args, method="second_pass")
    assert np.abs(f).max() < LARGEST_ACTIVATION / ACTIVATION  # else the integers would saturate

    def gain(name: str) -> float:
        return float(np.abs(twin[f"convs_{name}/kernel"]).sum(axis=(0, 1, 2)).max())

    unit = 1.5 / ACTIVATION
    error_f = (gain("up16") * unit + unit) * gain("features") + unit
    error_mix = error_f * gain("mix") + 2 * unit
    error_first = error_f * gain("head") + 1 / PARAMETER
    error_second = (error_mix * gain("tail") + unit) * gain("tail_head") + 1 / PARAMETER
    integers = both_passes(layers, z_hat, anchors)
    errors = [np.abs(i / PARAMETER - x) for i, x in zip(integers, (first, second), strict=True)]
    assert errors[0].max() < error_first
    assert errors[1].max() < error_first + error_second
    # Roundings are as often up as down, so the typical error is far below the bound.
    assert max(np.mean(error) for error in errors) < 4 / ACTIVATION < 0.01 * np.std(second)


def test_leaky_slope_is_the_same_in_both(layers) -> None:
    floats = FloatLayers(tiny_model.codec().model.config)
    h = np.array([-16.0, -8.0, 0.0, 3.0])  # multiples of 1 / SLOPE below zero: no rounding
    np.testing.assert_array_equal(floats.activate(jnp.asarray(h)), layers.activate(h))
    assert layers.activate(h)[0] == -16 * SLOPE
