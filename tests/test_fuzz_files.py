"""A slice of what `make fuzz` tries for minutes."""

import random
from pathlib import Path

import pytest
from fuzz_files import ALLOWED, attempt, damaged, forged, originals

from diffcomp.codec import load


@pytest.fixture(scope="module")
def tiny():
    return load(Path(__file__).parent / "golden" / "tiny_model")


@pytest.fixture(scope="module")
def known(tiny):
    return originals(tiny)


@pytest.mark.parametrize("make", [damaged, forged])
def test_changed_files_are_refused_or_decode_rightly(tiny, known, make):
    random_ = random.Random(7)
    results = [attempt(tiny, make(random_, list(known)), known).result for _ in range(400)]
    assert set(results) <= ALLOWED[make.__name__]
    assert results.count("refused") > 350
