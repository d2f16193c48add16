"""Jobs, their failures, and what is left of them."""

import csv
import dataclasses

import numpy as np
import pytest
from PIL import Image

from diffcomp.evaluation import runner
from diffcomp.evaluation.candidates import Candidate
from diffcomp.evaluation.image_sets import NamedImage, open_images
from diffcomp.evaluation.measuring import Job, perform
from diffcomp.evaluation.metrics import catalogue
from diffcomp.evaluation.protocols import PROTOCOLS
from diffcomp.evaluation.row_cache import RowCache
from diffcomp.evaluation.row_file import RowFile, Settings
from diffcomp.evaluation.rows import Failure

NAMES = ("psnr", "lpips_alex")


class Spy:
    """A lossless codec whose files begin with the quality; it counts its calls."""

    def __init__(self):
        self.encoded = []
        self.fails_at = self.stops_at = None

    def encode(self, image, quality):
        self.encoded.append(quality)
        if quality == self.stops_at:
            raise SystemExit  # as little of a failure as an interrupt
        if quality == self.fails_at:
            raise RuntimeError("out of\tbits\nand a page of details")
        return bytes([int(quality), *image.shape[:2]]) + image.tobytes()

    def decode(self, data):
        quality, height, width = data[:3]
        return np.frombuffer(data[3:], np.uint8).reshape(height, width, 3) ^ np.uint8(quality == 1)

    def candidate(self, **changes):
        candidate = Candidate("spy", "any", (1, 2), self.encode, self.decode, ".spy", False)
        return dataclasses.replace(candidate, **changes)


@pytest.fixture
def images(tmp_path, photo):
    """Two images of different sizes."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, crop in zip(paths, (photo[:40, :50], photo[:64, :32]), strict=True):
        Image.fromarray(crop).save(path)
    return open_images([str(path) for path in paths], PROTOCOLS["none"])


def open_rows(folder, names=NAMES):
    return RowFile(folder / "out", Settings("none", names, {"spy": "any"}))


def test_a_row_has_sizes_rate_metrics_and_times(images, tmp_path, photo):
    rows = open_rows(tmp_path)
    assert runner.run(images, [Spy().candidate()], NAMES, rows, workers=2) == ["a", "b"]
    row = rows.rows["a", "spy", "1"]
    assert (row.image, row.codec, row.quality) == ("a", "spy", 1)
    assert (row.width, row.height, row.bytes) == (50, 40, 3 + 3 * 50 * 40)
    assert row.bpp == pytest.approx(8 * (3 + 6000) / 2000)
    assert row.metrics["psnr"] == pytest.approx(20 * np.log10(255), abs=1e-5)  # off by 1 everywhere
    assert 0 < row.metrics["lpips_alex"] < 0.1
    assert row.encode_seconds >= 0 and row.decode_seconds >= 0
    assert rows.rows["b", "spy", "2"].metrics["psnr"] == np.inf
    kept = (tmp_path / "out" / "streams" / "spy" / "q1" / "a.spy").read_bytes()
    assert kept == Spy().encode(photo[:40, :50], 1)


def test_rows_in_memory_are_those_that_a_later_run_reads(images, tmp_path):
    """Else a resumed run would have another summary than one without an interrupt."""
    rows = open_rows(tmp_path)
    # More digits than are written, of the quality too.
    runner.run(images, [Spy().candidate(qualities=(1.2345678, 2))], NAMES, rows, workers=2)
    assert len(rows.rows) == 4 and ("a", "spy", "1.23457") in rows.rows
    assert open_rows(tmp_path).rows == rows.rows


def test_finished_rows_are_not_done_again(images, tmp_path):
    runner.run(images, [Spy().candidate(qualities=(1,))], NAMES, open_rows(tmp_path), workers=1)
    spy = Spy()
    rows = open_rows(tmp_path)
    runner.run(images, [spy.candidate(qualities=(1, 2))], NAMES, rows, workers=1)
    assert spy.encoded == [2, 2] and len(rows.rows) == 4


def test_an_interrupt_leaves_whole_rows_and_the_next_run_the_rest(images, tmp_path):
    spy = Spy()
    spy.stops_at = 2
    with pytest.raises(SystemExit):
        runner.run(images, [spy.candidate()], NAMES, open_rows(tmp_path), workers=1)
    rows = open_rows(tmp_path)
    assert ("a", "spy", "1") in rows.rows and len(rows.rows) < 4
    spy = Spy()
    runner.run(images, [spy.candidate()], NAMES, rows, workers=1)
    assert len(open_rows(tmp_path).rows) == 4 and spy.encoded.count(1) < 2


def test_a_failing_codec_is_noted_and_tried_again(images, tmp_path):
    spy, rows = Spy(), open_rows(tmp_path)
    spy.fails_at = 2
    runner.run(images, [spy.candidate()], NAMES, rows, workers=2)
    assert sorted(rows.rows) == [("a", "spy", "1"), ("b", "spy", "1")]
    with (tmp_path / "out" / "errors.csv").open(newline="") as file:
        errors = list(csv.DictReader(file))
    assert {(e["step"], e["reason"]) for e in errors} == {("encode", "out of bits")}
    rows = open_rows(tmp_path)
    runner.run(images, [Spy().candidate()], NAMES, rows, workers=2)
    assert len(rows.rows) == 4 and rows.failures == []


def broken(image, reference):
    raise RuntimeError("no such kernel")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"function": broken}, "no such kernel"),
        ({"function": lambda image, reference: float("nan")}, "its value is nan"),
        ({"min_side": 41}, "image is 40x50 pixels; LPIPS-Alex needs at least 41x41."),
    ],
)
def test_a_failing_metric_is_an_empty_cell(images, tmp_path, monkeypatch, change, reason):
    changed = dataclasses.replace(catalogue.METRICS["lpips_alex"], **change)
    monkeypatch.setitem(catalogue.METRICS, "lpips_alex", changed)
    (image, _) = images
    (outcome,) = perform(Job(image, (Spy().candidate(),), 1), NAMES, tmp_path, RowCache(""))
    assert outcome.row.metrics["psnr"] and outcome.row.metrics["lpips_alex"] is None
    assert outcome.failures == [Failure("a", "spy", 1, "lpips_alex", reason)]


def test_a_decoder_that_changes_the_size_gives_no_row(tmp_path):
    image = NamedImage("a", np.zeros((40, 50, 3), np.uint8))
    candidate = Spy().candidate(decode=lambda data: np.zeros((40, 49, 3), np.uint8))
    (outcome,) = perform(Job(image, (candidate,), 1), NAMES, tmp_path, RowCache(""))
    assert outcome.row is None
    reason = "decoded image is (40, 49, 3), the original (40, 50, 3)"
    assert outcome.failures == [Failure("a", "spy", 1, "decode", reason)]


def test_what_compiles_runs_once_untimed_for_each_program(images, tmp_path):
    spy = Spy()
    candidate = spy.candidate(qualities=(1, 2), program=lambda height, width: height // 64)
    runner.run(images, [candidate], NAMES, open_rows(tmp_path), workers=1)
    assert spy.encoded == [1, 1, 2, 1, 1, 2]


def test_jobs_side_by_side_have_one_thread_of_blas_each(images, tmp_path):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    seen, spy = [], Spy()

    def encode(image, quality):
        seen.extend(b["num_threads"] for b in blas())
        return spy.encode(image, quality)

    def blas():
        return [each for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"]

    before = [each["num_threads"] for each in blas()]
    runner.run(images, [spy.candidate(encode=encode)], NAMES, open_rows(tmp_path), workers=2)
    assert set(seen) == {1} and [each["num_threads"] for each in blas()] == before


def test_candidates_that_share_their_files_encode_and_read_once(images, tmp_path):
    spy, read, drawn = Spy(), [], []

    def candidate(name, change):
        return spy.candidate(
            name=name,
            files="same",
            read=lambda data: read.append(data) or data,
            draw=lambda data: drawn.append(name) or (spy.decode(data) ^ np.uint8(change)),
        )

    rows = RowFile(tmp_path / "out", Settings("none", NAMES, {"one": "any", "two": "any"}))
    both = [candidate("one", 0), candidate("two", 4)]
    runner.run(images, both, NAMES, rows, workers=1)
    assert len(rows.rows) == 8 and len(spy.encoded) == len(read) == 4 and len(drawn) == 8
    one, two = rows.rows["a", "one", "2"], rows.rows["a", "two", "2"]
    assert one.bytes == two.bytes and one.encode_seconds == two.encode_seconds
    assert one.metrics["psnr"] == np.inf and two.metrics["psnr"] < 40
    for name in ("one", "two"):
        assert (tmp_path / "out" / "streams" / name / "q2" / "a.spy").exists()


def test_a_candidate_can_be_judged_by_some_metrics_only(images, tmp_path):
    rows = open_rows(tmp_path)
    runner.run(images, [Spy().candidate(metrics=("psnr",))], NAMES, rows, workers=1)
    row = rows.rows["a", "spy", "1"]
    assert row.metrics["lpips_alex"] is None and row.metrics["psnr"] > 40
    assert rows.failures == []
