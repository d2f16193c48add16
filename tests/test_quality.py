"""Tests of the quality dial: the 225 codes and the qualities they stand for."""

import math

import numpy as np
import pytest

from diffcomp.coding.quality import CODES, CODES_PER_UNIT, code_to_quality, quality_to_code


def test_ends_and_unit() -> None:
    assert CODES == 225
    assert CODES <= 256  # a code is one byte of a file
    assert (quality_to_code(1), quality_to_code(4), quality_to_code(8)) == (0, 96, 224)
    assert (code_to_quality(0), code_to_quality(96), code_to_quality(224)) == (1.0, 4.0, 8.0)


def test_every_code_comes_back() -> None:
    qualities = [code_to_quality(code) for code in range(CODES)]
    assert [quality_to_code(quality) for quality in qualities] == list(range(CODES))
    assert np.all(np.diff(qualities) == 1 / CODES_PER_UNIT)


def test_the_nearest_code_is_taken() -> None:
    for quality in np.random.default_rng(0).uniform(1, 8, 200):
        error = abs(code_to_quality(quality_to_code(quality)) - quality)
        assert error <= 0.5 / CODES_PER_UNIT


@pytest.mark.parametrize("kind", [int, float, np.float32, np.float64, np.int64])
def test_a_code_is_a_python_integer(kind: type) -> None:
    code = quality_to_code(kind(3))
    assert type(code) is int
    assert code == 64


@pytest.mark.parametrize("quality", [0.999, 8.001, -3, math.inf, math.nan])
def test_quality_out_of_range(quality: float) -> None:
    with pytest.raises(ValueError, match=rf"quality is {quality}; it must be in \[1, 8\]"):
        quality_to_code(quality)


@pytest.mark.parametrize("code", [-1, 225, 255])
def test_code_out_of_range(code: int) -> None:
    with pytest.raises(ValueError, match=rf"quality code is {code}; it must be in \[0, 224\]"):
        code_to_quality(code)
