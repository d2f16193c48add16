"""Tests of convolutions in integers: exact against int64, in any order, on any number of threads.

The oracle sums in int64, whose additions are exact in whatever order they come.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from random_convolutions import random_conv, random_input

from diffcomp.coding.channel_groups import PHASES, Phase
from diffcomp.coding.entropy_parameters import SLOPE
from diffcomp.coding.fixed_point import (
    EXACT,
    LARGEST,
    LARGEST_ACTIVATION,
    MAX_WEIGHT_BITS,
    PARAMETER_BITS,
    FixedPointConv,
    FixedPointLayers,
    dequantize_conv,
    quantize_conv,
    round_shift,
)
from diffcomp.coding.grouped_coder import ACTIVATION_BITS, LAYER_BITS

ROOT = Path(__file__).resolve().parents[1]


def oracle(conv: FixedPointConv, h: np.ndarray) -> np.ndarray:
    """The convolution in int64, rounded half up by integer shifts."""
    side = conv.kernel.shape[0]
    margin = side // 2
    padded = np.pad(h.astype(np.int64), ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    total = np.einsum("bhwcij,ijco->bhwo", windows, conv.kernel.astype(np.int64)) + conv.bias
    return (total + (1 << conv.shift >> 1)) >> conv.shift


@pytest.mark.parametrize(
    ("side", "n_in", "n_out", "bits"),
    [
        (1, 1, 1, (0, 0, 0)),
        (1, 33, 5, (12, 10, 16)),
        (3, 7, 4, (14, 10, 10)),
        (3, 64, 3, (10, 0, 10)),
        (5, 2, 2, (24, 10, 10)),
    ],
)
def test_equals_int64(side: int, n_in: int, n_out: int, bits: tuple) -> None:
    conv = random_conv(0, side, n_in, n_out, bits)
    for shape in ((1, 1, 1), (2, 5, 6)):
        h = random_input(1, *shape, n_in)
        np.testing.assert_array_equal(conv(h), oracle(conv, h))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("side", [1, 3, 5])
def test_at_a_phase_alone(side: int, phase: Phase) -> None:
    """Odd sides too, of which the phases have unequal shares."""
    conv, h = random_conv(13, side, 2, 3, (14, 10, 10)), random_input(14, 2, 5, 7, 2)
    np.testing.assert_array_equal(conv(h, phase), phase.of(conv(h)))


def test_order_of_channels_does_not_matter() -> None:
    conv = random_conv(2, 3, 200, 8, (14, 10, 10))
    h = random_input(3, 1, 6, 7, 200)
    expected = conv(h)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(200)
        shuffled = FixedPointConv(conv.kernel[:, :, order], conv.bias, 14, 10, 10)
        np.testing.assert_array_equal(shuffled(h[..., order]), expected)


def test_float32_sums_would_not_be_exact() -> None:
    """The values of these tests are large enough to tell exact from rounded arithmetic."""
    conv = random_conv(2, 1, 200, 8, (14, 10, 10))
    h = random_input(3, 1, 6, 7, 200)
    rounded = h.astype(np.float32) @ conv.kernel[0, 0].astype(np.float32) + conv.bias
    assert np.any(round_shift(rounded.astype(np.float64), conv.shift) != conv(h))


def test_exact_at_the_bound() -> None:
    """2**14 products of the largest magnitude: a sum just below 2**52, odd in its last bit."""
    count = 2**14
    kernel = np.full((1, 1, count, 1), LARGEST, np.int16)
    h = np.full((1, 1, 1, count), -LARGEST_ACTIVATION - 1.0)
    h[..., 0] += 1
    conv = FixedPointConv(kernel, np.zeros(1, np.int64), 0, 0, 0)
    assert int(conv(h)[0, 0, 0, 0]) == -LARGEST * (LARGEST_ACTIVATION + 1) * count + LARGEST


PROGRAM = """
import hashlib, sys
import numpy as np
from random_convolutions import random_conv, random_input
conv = random_conv(4, 3, 256, 192, (14, 10, 10))
print(hashlib.sha256(conv(random_input(5, 1, 3, 300, 256)).tobytes()).hexdigest())
"""


def test_number_of_blas_threads_does_not_matter() -> None:
    hashes = set()
    for threads in ("1", "2"):
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        env = os.environ | {"OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": paths}
        program = [sys.executable, "-c", PROGRAM]
        run = subprocess.run(program, env=env, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        hashes.add(run.stdout)
    assert len(hashes) == 1


def test_sums_that_could_pass_2_to_53_are_refused() -> None:
    kernel = np.ones((1, 1, 1, 1), np.int16)
    room = (
        EXACT - 1 - (LARGEST_ACTIVATION + 1) - 2**4
    )  # beside one weight of 1, and rounding by 4 bits
    for sign in (1, -1):
        FixedPointConv(kernel, np.array([sign * room]), 0, 4, 0)
        with pytest.raises(ValueError, match=f"sums may reach {EXACT}; they must stay below 2"):
            FixedPointConv(kernel, np.array([sign * (room + 1)]), 0, 4, 0)


def test_the_refusal_adds_up_all_weights_of_an_output() -> None:
    kernel = np.full((3, 3, 2**10, 2), -(2**15), np.int64).astype(np.int16)
    kernel[..., 0] = 0
    rest = EXACT - 1 - 9 * 2**10 * 2**38 - 1
    FixedPointConv(kernel, np.array([0, rest]), 0, 0, 0)
    with pytest.raises(ValueError, match="sums may reach"):
        FixedPointConv(kernel, np.array([0, rest + 1]), 0, 0, 0)


def test_round_shift_rounds_half_up() -> None:
    value = np.array([-4, -3, -2, -1, 0, 1, 2, 3, 4, 2**52 - 1], np.float64)
    np.testing.assert_array_equal(round_shift(value, 1), [-2, -1, -1, 0, 0, 1, 1, 2, 2, 2**51])
    np.testing.assert_array_equal(round_shift(value, 0), value)


def test_leaky_relu_rounds_down_below_zero_and_saturates() -> None:
    top = LARGEST_ACTIVATION
    h = np.array([-(10**9), -17, -16, -9, -8, -1, 0, 1, 7, top, top + 1, 10**9], np.float64)
    expected = [-top, -3, -2, -2, -1, -1, 0, 1, 7, top, top, top]
    np.testing.assert_array_equal(FixedPointLayers({}, SLOPE).activate(h), expected)


@pytest.mark.parametrize("magnitude", [1e-9, 1e-3, 0.7, 20.0])
def test_weights_survive_quantisation(magnitude: float) -> None:
    rng = np.random.default_rng(6)
    kernel = rng.normal(0, magnitude, (3, 3, 6, 4)).astype(np.float32)
    bias = rng.normal(0, 1, 4).astype(np.float32)
    conv = quantize_conv(kernel, bias, ACTIVATION_BITS, ACTIVATION_BITS)
    if conv.weight_bits < MAX_WEIGHT_BITS:
        assert 2**14 <= np.abs(conv.kernel).max() <= LARGEST  # no finer grid holds them
    kernel_again, bias_again = dequantize_conv(conv)
    assert np.abs(kernel_again - kernel).max() <= 0.5 * 2.0**-conv.weight_bits
    # Half a unit, and the rounding of float32.
    tolerance = 0.5 * 2.0 ** -(conv.weight_bits + ACTIVATION_BITS) + 2.0**-24 * np.abs(bias)
    assert np.all(np.abs(bias_again - bias) <= tolerance)


@pytest.mark.parametrize("seed", range(5))
def test_quantising_again_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel = rng.normal(0, 10.0 ** rng.uniform(-8, 1), (1, 1, 9, 4)).astype(np.float32)
    bias = rng.normal(0, 3, 4).astype(np.float32)
    once = quantize_conv(kernel, bias, ACTIVATION_BITS, PARAMETER_BITS)
    twice = quantize_conv(*dequantize_conv(once), ACTIVATION_BITS, PARAMETER_BITS)
    assert twice.weight_bits == once.weight_bits
    np.testing.assert_array_equal(twice.kernel, once.kernel)
    np.testing.assert_array_equal(twice.bias, once.bias)


def test_zero_kernel() -> None:
    conv = quantize_conv(np.zeros((1, 1, 2, 1)), np.array([0.75]), ACTIVATION_BITS, PARAMETER_BITS)
    assert conv(random_input(7, 1, 1, 1, 2)).item() == 0.75 * 2**PARAMETER_BITS


def test_integers_equal_their_float_twin_up_to_the_last_rounding() -> None:
    """With the integers' own weights, only the rounding of the output is left: half a unit."""
    rng = np.random.default_rng(8)
    conv = quantize_conv(rng.normal(0, 0.1, (1, 1, 40, 6)), rng.normal(0, 1, 6), 10, 16)
    kernel, bias = (weights.astype(np.float64) for weights in dequantize_conv(conv))
    h = random_input(9, 1, 4, 5, 40)
    error = conv(h) * 2.0**-16 - (h * 2.0**-10 @ kernel[0, 0] + bias)
    assert 0.25 * 2.0**-16 < np.abs(error).max() <= 0.5001 * 2.0**-16


def test_weights_too_large_for_16_bits_are_refused() -> None:
    bias = np.zeros(1)
    # Outputs of 16 fraction bits from inputs of 10 need 6 in the weights: 32767 / 64 = 511.98.
    quantize_conv(np.full((1, 1, 1, 1), 511.98), bias, 10, 16)
    with pytest.raises(ValueError, match="a weight has magnitude 512; 16 bits hold at most 511.98"):
        quantize_conv(np.full((1, 1, 1, 1), -512.0), bias, 10, 16)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    good, bad = np.ones((1, 1, 1, 1)), np.full((1, 1, 1, 1), value)
    for kernel, bias in ((bad, good[0, 0, 0]), (good, bad[0, 0, 0])):
        with pytest.raises(ValueError, match="a kernel or bias is not finite"):
            quantize_conv(kernel, bias, 10, 10)


def test_units_of_each_layer() -> None:
    weights = {name: (np.ones((1, 1, 1, 1)), np.zeros(1)) for name in ("up32", "mix", "refine")}
    convs = FixedPointLayers.from_floats(weights, SLOPE, LAYER_BITS).convs
    assert (convs["up32"].input_bits, convs["up32"].output_bits) == (0, ACTIVATION_BITS)
    assert (convs["mix"].input_bits, convs["mix"].output_bits) == (ACTIVATION_BITS, ACTIVATION_BITS)
    assert convs["refine"].output_bits == PARAMETER_BITS


def test_arrays_give_the_same_layers() -> None:
    layers = FixedPointLayers({"a": random_conv(10, 3, 4, 5, (14, 10, 10))}, SLOPE)
    again = FixedPointLayers.from_arrays(layers.to_arrays(), SLOPE)
    h = random_input(11, 1, 2, 3, 4)
    np.testing.assert_array_equal(again.linear("a", h), layers.linear("a", h))
    assert again.to_arrays().keys() == {"a.kernel", "a.bias", "a.bits"}


@pytest.mark.parametrize("name", ["a.bias", "a.bits"])
def test_a_missing_array_is_named(name: str) -> None:
    arrays = FixedPointLayers({"a": random_conv(12, 1, 1, 1, (0, 0, 0))}, SLOPE).to_arrays()
    del arrays[name]
    with pytest.raises(KeyError, match=name):
        FixedPointLayers.from_arrays(arrays, SLOPE)
