"""The examples in docstrings run."""

import doctest
import importlib

import pytest

MODULES = ("coding.grid", "coding.quality", "decode_settings", "params")


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_show(name):
    result = doctest.testmod(importlib.import_module(f"diffcomp.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
