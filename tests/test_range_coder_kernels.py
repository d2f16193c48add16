"""Tests of the range coder's implementations by themselves: tables, compiled code, packages."""

import sys

import numpy as np
import pytest
from numba import types
from range_coder_tables import random_lookup, random_positions

from diffcomp.coding import numba_range_coder, tfc_range_coder


@pytest.mark.parametrize("seed", range(20))
def test_round_trip_with_all_precisions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tables = random_lookup(rng, 32)
    lookup = np.concatenate(tables)
    indexes = rng.integers(0, len(tables), 5000, dtype=np.int32)
    positions = random_positions(rng, tables, indexes)
    encoder = numba_range_coder.Encoder(lookup)
    for part in np.split(np.arange(5000), [0, 7, 7, 4000]):
        encoder.encode(positions[part], indexes[part])
    data = encoder.finish()
    decoder = numba_range_coder.Decoder(lookup, data)
    found = [decoder.decode(indexes[part]) for part in np.split(np.arange(5000), [1, 1, 600])]
    np.testing.assert_array_equal(np.concatenate(found), positions)
    assert decoder.finish()
    precisions = np.array([table[0] for table in tables])[indexes]
    starts = numba_range_coder.table_starts(lookup)[indexes]
    counts = lookup[starts + 2 + positions] - lookup[starts + 1 + positions]
    bits = np.sum(precisions - np.log2(counts))
    assert bits / 8 - 4 <= len(data) <= 1.001 * bits / 8 + 4


def test_hints_are_the_last_entry_at_most_that_high() -> None:
    rng = np.random.default_rng(0)
    tables = random_lookup(rng, 64)
    starts = numba_range_coder.table_starts(np.concatenate(tables))
    hints = numba_range_coder.search_hints(np.concatenate(tables), starts).reshape(64, 256)
    for table, start, row in zip(tables, starts, hints, strict=False):
        counts = table[1:] / 2.0 ** table[0]
        expected = np.searchsorted(counts, np.arange(256) / 256, side="right") - 1
        np.testing.assert_array_equal(row - start - 1, expected)


@pytest.mark.parametrize(
    "lookup",
    [
        [],
        [0, 0, 1],
        [0, 1, 2],
        [-1, 0, 2],
        [17, 0, 2**17],
        [1, 0],
        [16, 0, 2**15],
        [1, 0, 2, 2],
        [2, 0, 3, 1, 4],
        [2, 0, 0, 4],
        [2, 1, 4],
        [1, 0, 2, 1],
        [1, 0, 2, 5, 0, 1],
        [1, 0, 2, 1, 0, 1, 2, 2],
    ],
)
def test_what_is_no_table_is_refused(lookup: list[int]) -> None:
    with pytest.raises(ValueError, match=r"a precision p from 1 to 16 and counts that grow from 0"):
        numba_range_coder.Encoder(np.array(lookup, np.int32))
    with pytest.raises(ValueError, match=r"a precision p from 1 to 16 and counts that grow from 0"):
        numba_range_coder.Decoder(np.array(lookup, np.int32), b"")


def test_compiles_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler, tries = numba_range_coder.njit, []

    def njit(signature: object, cache: bool = False, **options: object) -> object:
        tries.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compiler(signature, **options)

    monkeypatch.setattr(numba_range_coder, "njit", njit)
    double = numba_range_coder._compiled(types.int64, types.int64)(lambda value: 2 * value)
    assert tries == [True, False]
    assert double(21) == 42


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("tensorflow", "DIFFCOMP_RANGE_CODER=tfc needs TensorFlow 2.17, for its range coder: "),
        ("tensorflow_compression_ops", "DIFFCOMP_RANGE_CODER=tfc needs tensorflow-compression-ops"),
    ],
)
def test_missing_packages_are_named(
    package: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package != "tensorflow":
        pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    tfc_range_coder._tensorflow.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=message):
        tfc_range_coder.Encoder(np.array([1, 0, 2], np.int32))
