"""Rows of other codecs that later evaluations take over, and when they do not."""

import dataclasses

import numpy as np
import pytest

from diffcomp.evaluation import row_cache
from diffcomp.evaluation.candidates import Candidate
from diffcomp.evaluation.image_sets import NamedImage
from diffcomp.evaluation.measuring import Job, perform
from diffcomp.evaluation.row_cache import Entry, RowCache

IMAGE = NamedImage("a", np.arange(6000, dtype=np.uint8).reshape(40, 50, 3))
NAMES = ("psnr", "ssim")
CALLS = []


def encode(image, quality):
    CALLS.append(quality)
    return (image ^ np.uint8(quality)).tobytes()


def decode(data):
    return np.frombuffer(data, np.uint8).reshape(40, 50, 3)


CANDIDATE = Candidate("xor", "xor 1.0", (1, 2), encode, decode, ".xor", False)


def measure(tmp_path, candidate=CANDIDATE, image=IMAGE, names=NAMES, quality=1, cache="cache"):
    """The row, and whether it was measured."""
    CALLS.clear()
    (outcome,) = perform(
        Job(image, (candidate,), quality), names, tmp_path / "out", RowCache(str(tmp_path / cache))
    )
    return outcome.row, bool(CALLS)


def entries(tmp_path):
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_second_run_finds_figures_and_file_but_no_times(tmp_path):
    first, measured = measure(tmp_path)
    assert measured and first.encode_seconds >= 0 and not first.is_kept
    stream = tmp_path / "out" / "streams" / "xor" / "q1" / "a.xor"
    before = stream.read_bytes()
    stream.unlink()
    second, measured = measure(tmp_path)
    assert not measured and second.is_kept and stream.read_bytes() == before
    assert dataclasses.replace(first, encode_seconds=None, decode_seconds=None) == second
    assert len(entries(tmp_path)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"candidate": dataclasses.replace(CANDIDATE, settings="xor 1.1")},
        {"image": NamedImage("a", IMAGE.pixels[::-1])},
        {"quality": 2},
        {"names": ("psnr", "ssim", "gmsd")},
    ],
)
def test_whatever_a_figure_depends_on_makes_another_entry(tmp_path, change):
    measure(tmp_path)
    row, measured = measure(tmp_path, **change)
    assert measured and not row.is_kept


def test_other_code_or_libraries_make_another_entry(tmp_path, monkeypatch):
    measure(tmp_path)
    monkeypatch.setattr(row_cache, "figures_version", lambda: "another")
    assert measure(tmp_path)[1]


def test_the_version_covers_code_weights_and_libraries(monkeypatch):
    version = row_cache.figures_version.__wrapped__
    before = version()
    assert version() == before
    with monkeypatch.context() as patch:
        patch.setattr(row_cache, "_CODE", (*row_cache._CODE, "evaluation/runner.py"))
        assert version() != before
    monkeypatch.setattr(row_cache.importlib.metadata, "version", lambda name: "0")
    assert version() != before


def test_further_metrics_join_what_is_kept(tmp_path):
    measure(tmp_path, names=("psnr",))
    assert measure(tmp_path, names=("ssim",))[1]
    row, measured = measure(tmp_path, names=("ssim", "psnr"))
    assert not measured and set(row.metrics) == {"psnr", "ssim"}


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[:-1], lambda data: data[:40] + b"9" + data[41:]],
)
def test_a_damaged_entry_is_measured_anew_and_replaced(tmp_path, damage):
    measure(tmp_path)
    (path,) = entries(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert measure(tmp_path)[1]
    assert not measure(tmp_path)[1]


def test_models_and_failures_are_not_kept(tmp_path):
    model = dataclasses.replace(CANDIDATE, is_model=True)
    assert measure(tmp_path, model)[1] and measure(tmp_path, model)[1]
    measure(tmp_path, names=("psnr", "ms_ssim"))  # which needs a larger image
    assert entries(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_no_failure(tmp_path):
    (tmp_path / "cache").write_text("a file")
    row, measured = measure(tmp_path)
    assert measured and row is not None


def test_the_users_folder_is_beside_the_compiled_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFCOMP_CACHE", str(tmp_path))
    assert RowCache("user").folder == tmp_path / "evaluation"
    monkeypatch.setenv("DIFFCOMP_CACHE", "")
    assert RowCache("user").folder is None


def test_no_folder_keeps_nothing():
    cache = RowCache("")
    cache.keep(IMAGE, CANDIDATE, 1, Entry(b"", {}))
    assert cache.find(IMAGE, CANDIDATE, 1) is None
