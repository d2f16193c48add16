"""Tests of the count of multiply-accumulates, and the budgets of the base model."""

import re

import jax
import jax.numpy as jnp
import pytest
from child_processes import run_launch
from jax import lax

from diffcomp.profiling.complexity import count_macs


def shape(*sides: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(sides, jnp.float32)


def conv(x: jax.Array, kernel: jax.Array, **options: object) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    options = {"window_strides": (1, 1), "padding": "SAME"} | options
    return lax.conv_general_dilated(x, kernel, dimension_numbers=layout, **options)


def test_matrix_product_needs_no_memory() -> None:
    """An argument of 4 TB is counted, not computed."""
    side = 10**6
    assert count_macs(jnp.matmul, shape(side, side), shape(side, 3)) == side * side * 3


def test_einsum_over_batch_axes() -> None:
    macs = count_macs(lambda a, b: jnp.einsum("bij,bkj->bik", a, b), shape(5, 2, 3), shape(5, 7, 3))
    assert macs == 5 * 2 * 7 * 3


def test_convolution() -> None:
    assert count_macs(conv, shape(2, 8, 6, 5), shape(3, 3, 5, 7)) == 2 * 8 * 6 * 9 * 5 * 7


def test_strided_convolution_counts_its_outputs() -> None:
    def strided(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return conv(x, kernel, window_strides=(2, 2))

    assert count_macs(strided, shape(1, 8, 6, 5), shape(3, 3, 5, 7)) == 4 * 3 * 9 * 5 * 7


def test_grouped_convolution_counts_the_channels_of_a_group() -> None:
    def depthwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return conv(x, kernel, feature_group_count=5)

    assert count_macs(depthwise, shape(1, 8, 6, 5), shape(3, 3, 1, 5)) == 8 * 6 * 9 * 5


def test_elementwise_work_is_free() -> None:
    assert count_macs(lambda x: jnp.sum(jax.nn.silu(x) * x + 1), shape(4, 4)) == 0


def test_scan_counts_every_iteration() -> None:
    def five_times(x: jax.Array, a: jax.Array) -> jax.Array:
        return lax.scan(lambda h, _: (h @ a, None), x, length=5)[0]

    assert count_macs(five_times, shape(2, 3), shape(3, 3)) == 5 * 2 * 3 * 3


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, jax.vmap])
def test_functions_inside_functions_are_entered(wrap: object) -> None:
    function = wrap(lambda a, b: a @ b)
    assert count_macs(lambda a, b: 2 * function(a, b), shape(4, 2, 3), shape(4, 3, 5)) == 120


def test_gradient_costs_two_more_products() -> None:
    gradient = jax.grad(lambda a, b: jnp.sum((a @ b) ** 2), argnums=(0, 1))
    assert count_macs(gradient, shape(2, 3), shape(3, 5)) == 3 * 2 * 3 * 5


def test_budgets_of_the_base_model() -> None:
    """12 million parameters; per pixel 35 kMAC to encode, 45 for the context, 45 a step."""
    run = run_launch("describe.py", "--config=configs/base.py")
    assert run.returncode == 0, run.stderr
    printed = re.findall(r"^ *([\d.,]+) +(.+)$", run.stdout, re.MULTILINE)
    values = {name: float(number.replace(",", "")) for number, name in printed}
    assert 1e6 < values["parameters in all"] <= 12e6
    assert 1 < values["kMAC/pixel, encoder"] <= 35
    assert 1 < values["kMAC/pixel, context decoder"] <= 45
    assert 1 < values["kMAC/pixel, score network, a step"] <= 45
    parts = sum(value for name, value in values.items() if "/" in name and "kMAC" not in name)
    assert parts == values["parameters in all"]
