"""Multiply-accumulates of a function, counted in its jaxpr: convolutions and matrix products."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax


def count_macs(function: Callable, *args: Any) -> int:
    """Multiply-accumulates of one call; `args` may be `jax.ShapeDtypeStruct`s. Runs nothing.

    Loops count their body once per iteration where the length is known (`scan`).
    """
    return _count(jax.make_jaxpr(function)(*args).jaxpr)


def _count(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        repeats = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        total += repeats * sum(_count(inner) for inner in _inner_jaxprs(equation))
        total += _macs(equation)
    return total


def _macs(equation: Any) -> int:
    name = equation.primitive.name
    if name not in ("conv_general_dilated", "dot_general"):
        return 0
    out = math.prod(equation.outvars[0].aval.shape)
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return out * math.prod(shape[axis] for axis in contracted)
    kernel = equation.invars[1].aval.shape
    spec = equation.params["dimension_numbers"].rhs_spec  # (out, in, spatial...)
    return out * math.prod(kernel) // kernel[spec[0]]


def _inner_jaxprs(equation: Any) -> Iterator[Any]:
    for value in equation.params.values():
        for inner in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(inner, "jaxpr"):
                yield inner.jaxpr
            elif hasattr(inner, "eqns"):
                yield inner
