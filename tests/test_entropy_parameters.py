"""Tests of the network that picks tables: its wiring, its reach, and its two arithmetics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model

from diffcomp.coding import entropy_parameters
from diffcomp.coding.channel_groups import PHASES, Phase, channel_groups
from diffcomp.coding.entropy_parameters import REACH, SLOPE, Seen
from diffcomp.coding.fixed_point import LARGEST_ACTIVATION, PARAMETER_BITS, FixedPointLayers
from diffcomp.coding.grouped_coder import ACTIVATION_BITS
from diffcomp.export.exported_model import ExportedModel
from diffcomp.networks.entropy_network import FloatLayers
from diffcomp.networks.parts import CODED_LAYERS
from diffcomp.params import variables_of

ACTIVATION = 2.0**ACTIVATION_BITS
PARAMETER = 2.0**PARAMETER_BITS
GROUPS = channel_groups((0, 2), (4, 2), 7)


class Wiring:
    """Layers that compute nothing but check channels against `layer_shapes`, and count calls."""

    def __init__(self, hyper: int, width: int):
        self.shapes = entropy_parameters.layer_shapes(hyper, width, GROUPS)
        self.called: list[str] = []

    def linear(self, name: str, h: np.ndarray, phase: Phase | None = None) -> np.ndarray:
        _, n_in, n_out = self.shapes[name]
        assert h.shape[-1] == n_in, name
        self.called.append(name)
        h = h if phase is None else phase.of(h)
        return np.zeros((*h.shape[:-1], n_out))

    def activate(self, h: np.ndarray) -> np.ndarray:
        return h


@pytest.fixture(scope="module")
def layers() -> FixedPointLayers:
    return tiny_model.codec().model.coder.layers


def random_z_hat(channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-9, 10, (1, 2, 3, channels)).astype(np.float64)


def random_y_hat(channels: int) -> np.ndarray:
    """[1, 8, 12, channels] in units of activations."""
    return np.rint(np.random.default_rng(1).normal(0, 2, (1, 8, 12, channels)) * ACTIVATION)


def tiny_parameters(
    layers: object, g: int, phase: Phase, z_hat: np.ndarray, y_hat: np.ndarray
) -> np.ndarray:
    """Of a group of the tiny model's, all of whose y_hat is seen."""
    group = tiny_model.codec().model.config.groups[g]
    seen = Seen(y_hat[..., : group.start] if g else None, y_hat[..., group.channels])
    f = entropy_parameters.features(layers, z_hat)
    return entropy_parameters.parameters(layers, g, phase, f, np.float64(3 * ACTIVATION), seen)


def test_channels_fit_and_every_layer_is_called_once() -> None:
    wiring = Wiring(hyper=3, width=5)
    f = entropy_parameters.features(wiring, np.zeros((2, 3, 4, 3)))
    y_hat = np.zeros((2, 12, 16, 7))
    for g, group in enumerate(GROUPS):
        seen = Seen(y_hat[..., : group.start] if g else None, y_hat[..., group.channels])
        found = entropy_parameters.parameters(wiring, g, PHASES[1], f, np.zeros(5), seen)
        assert found.shape == (2, 6, 8, 2 * group.size)
        assert entropy_parameters.step_changes(wiring, g, f).shape == (2, 12, 16, 1)
    assert sorted(wiring.called) == sorted(wiring.shapes)


def test_nothing_is_asked_of_what_is_not_known() -> None:
    wiring = Wiring(hyper=3, width=5)
    f = np.zeros((1, 4, 4, 5))
    entropy_parameters.parameters(wiring, 0, PHASES[0], f, np.zeros(5), Seen(None, None))
    assert wiring.called == ["head_0"]
    seen = Seen(np.zeros((1, 4, 4, 2)), None)
    entropy_parameters.parameters(wiring, 1, PHASES[0], f, np.zeros(5), seen)
    assert sorted(wiring.called[1:]) == ["coarser_1", "head_1", "mix_1", "refine_1", "tail_1"]


def test_the_tiny_model_has_these_layers(layers) -> None:
    config = tiny_model.codec().model.config
    shapes = entropy_parameters.layer_shapes(
        config.hyper_channels, config.coding_width, config.groups
    )
    found = {name: conv.kernel.shape for name, conv in layers.convs.items()}
    assert found == {name: (side, side, *rest) for name, (side, *rest) in shapes.items()}


@pytest.mark.parametrize(("g", "own_reach"), [(0, 2), (1, 1), (2, 1)])
def test_how_far_a_position_is_seen(layers, g: int, own_reach: int) -> None:
    """Coarser groups: one position away and at the position itself. The own: as its passes are."""
    group = tiny_model.codec().model.config.groups[g]
    z_hat, y_hat = random_z_hat(8), random_y_hat(16)
    assert own_reach <= REACH
    for channel, reach in ((group.start, own_reach), (0, own_reach if g == 0 else 1)):
        moved = y_hat.copy()
        moved[0, 3, 5, channel] += 4 * ACTIVATION
        changed = np.zeros((1, 8, 12, 1), bool)
        for phase in PHASES:
            before, after = (tiny_parameters(layers, g, phase, z_hat, y) for y in (y_hat, moved))
            phase.of(changed)[...] = np.any(before != after, axis=-1, keepdims=True)
        row, column = np.nonzero(changed[0, :, :, 0])
        assert (row.min(), row.max()) == (3 - reach, 3 + reach)
        assert (column.min(), column.max()) == (5 - reach, 5 + reach)


def float_twin(model: ExportedModel) -> dict[str, jax.Array]:
    """Parameters of the float layers, by path within them."""
    return {
        path.removeprefix("hyperprior/parameters/"): jnp.asarray(value)
        for path, value in model.params.items()
        if path.startswith("hyperprior/parameters/")
    }


def bound_floats(model: ExportedModel) -> FloatLayers:
    return FloatLayers(model.config).bind(variables_of(float_twin(model)))


@pytest.mark.parametrize("g", [0, 1, 2])
def test_integers_follow_the_float_twin(layers, g: int) -> None:
    """Parameters differ by less than rounding can add up to.

    A layer passes on the error of its input times, at most, the sum of its weights' magnitudes.
    Rounding its output adds half a unit of activations, and the floor of the leaky ReLU one more.
    """
    model, phase = tiny_model.codec().model, PHASES[2]
    z_hat, y_hat = random_z_hat(8), random_y_hat(16)
    twin = float_twin(model)
    floats = bound_floats(model)
    f = entropy_parameters.features(floats, jnp.float32(z_hat))
    assert np.abs(f).max() < LARGEST_ACTIVATION / ACTIVATION  # else the integers would saturate
    group = model.config.groups[g]
    y = jnp.float32(y_hat / ACTIVATION)
    seen = Seen(y[..., : group.start] if g else None, y[..., group.channels])
    found = entropy_parameters.parameters(floats, g, phase, f, jnp.float32(3), seen)

    def gain(name: str) -> float:
        return float(np.abs(twin[f"convs_{name}/kernel"]).sum(axis=(0, 1, 2)).max())

    unit = 1.5 / ACTIVATION
    error_f = (gain("up16") * unit + unit) * gain("features") + unit
    error_h = error_f * gain(f"mix_{g}") + 3 * unit
    error_h = (error_h * gain(f"tail_{g}") + unit) * gain(f"refine_{g}") + 1 / PARAMETER
    bound = error_f * gain(f"head_{g}") + 1 / PARAMETER + error_h
    error = np.abs(tiny_parameters(layers, g, phase, z_hat, y_hat) / PARAMETER - found)
    assert error.max() < bound
    # Roundings are as often up as down, so the typical error is far below the bound.
    assert np.mean(error) < 6 / ACTIVATION < 0.01 * np.std(found)


@pytest.mark.parametrize("g", [0, 1, 2])
def test_changes_of_steps_follow_the_float_twin(layers, g: int) -> None:
    model, z_hat = tiny_model.codec().model, random_z_hat(8)
    floats = bound_floats(model)
    f = entropy_parameters.features(floats, jnp.float32(z_hat))
    found = entropy_parameters.step_changes(floats, g, f)
    integers = entropy_parameters.features(layers, z_hat)
    integers = entropy_parameters.step_changes(layers, g, integers) / PARAMETER
    assert found.shape == integers.shape == (1, *integers.shape[1:3], 1)
    assert np.abs(integers - found).max() < 0.02 * np.std(found)


def test_leaky_slope_is_the_same_in_both(layers) -> None:
    floats = FloatLayers(tiny_model.codec().model.config)
    h = np.array([-16.0, -8.0, 0.0, 3.0])  # multiples of 1 / SLOPE below zero: no rounding
    np.testing.assert_array_equal(floats.activate(jnp.asarray(h)), layers.activate(h))
    assert layers.activate(h)[0] == -16 * SLOPE


def test_names_of_layers_are_those_of_the_parameters() -> None:
    coder = tiny_model.codec().model.coder
    twin = coder.float_layers(CODED_LAYERS)
    assert twin.keys() < tiny_model.codec().model.params.keys()
