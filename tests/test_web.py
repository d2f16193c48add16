"""Tests of what the web page does, without a page: jobs, limits, files of visitors, the command."""

import importlib.util
import threading
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from PIL import Image

from diffcomp.cli import main
from diffcomp.decode_settings import DecodeSettings
from diffcomp.distances.distortion import psnr
from diffcomp.files.image_file import ImageError
from diffcomp.web import jobs
from diffcomp.web.equal_avif import equal_avif
from diffcomp.web.pace import Cancelled, JobProgress, Pace
from diffcomp.web.settings import ServeSettings, parse_sizes
from diffcomp.web.visitors import Visitors

SETTINGS = DecodeSettings(steps=1)


def progress(stages: dict[str, float], told: list, cancelled: bool = False) -> JobProgress:
    event = threading.Event()
    if cancelled:
        event.set()
    pixels = tiny_model.image()[..., 0].size
    return JobProgress(Pace(), pixels, stages, lambda *said: told.append(said), event)


def test_a_job_gives_the_codecs_file_and_picture() -> None:
    codec, pixels, told = tiny_model.codec(), tiny_model.image(), []
    rate = jobs.Rate(quality=5.5)
    stages = jobs.stages_of(rate, SETTINGS)
    coded = jobs.compress_picture(codec, pixels, rate, SETTINGS, progress(stages, told))
    assert coded.data == codec.compress(pixels, 5.5)
    np.testing.assert_array_equal(coded.decoded, codec.decode(coded.data, SETTINGS))
    assert coded.bpp == 8 * len(coded.data) / (75 * 101)
    assert coded.psnr == psnr(coded.decoded, pixels)
    shares = [share for _, share, _ in told]
    assert {stage.split(" (")[0] for stage, _, _ in told} == {jobs.COMPRESSING, jobs.DECODING}
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1


def test_a_cancelled_job_ends_before_it_computes() -> None:
    rate = jobs.Rate(quality=5.5)
    stopped = progress(jobs.stages_of(rate, SETTINGS), [], cancelled=True)
    with pytest.raises(Cancelled):
        jobs.compress_picture(tiny_model.codec(), tiny_model.image(), rate, SETTINGS, stopped)


def test_a_picture_is_refused_by_its_header(tmp_path: Path) -> None:
    Image.fromarray(tiny_model.image()).save(tmp_path / "photo.png")
    data = (tmp_path / "photo.png").read_bytes()
    np.testing.assert_array_equal(jobs.read_picture(data, 75 * 101).pixels, tiny_model.image())
    with pytest.raises(ImageError, match="pixels"):
        jobs.read_picture(data, 75 * 101 - 1)
    with pytest.raises(ImageError, match="the file"):
        jobs.read_picture(b"no picture", 75 * 101)


def test_the_avif_takes_at_most_as_many_bytes() -> None:
    pixels, calls = tiny_model.image(), []
    avif = equal_avif(pixels, 1500, lambda: calls.append(1))
    assert avif is not None
    assert 0 < len(avif.data) <= 1500
    assert psnr(avif.decoded, pixels) > 20
    assert 1 <= len(calls) <= 8
    assert equal_avif(pixels, 10) is None


def test_what_a_visitor_has_goes_with_the_last_who_has_it(tmp_path: Path) -> None:
    visitors = Visitors(tmp_path)
    upload = tmp_path / "digest" / "photo.png"
    upload.parent.mkdir()
    upload.write_bytes(b"shared")
    for name in ("a", "b"):
        visitors.keep_upload(name, upload)
    result, cancelled = visitors.new_folder("a", "coded"), visitors.cancelled("a")
    (result / "photo.dfc").write_bytes(b"result")
    visitors.leave("a")
    assert upload.exists()
    assert not result.exists()
    assert cancelled.is_set()
    visitors.leave("b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("port", 0, r"--port is 0; it must be in \[1, 65535\]"),
        ("max_bytes", 0, "--max-bytes is 0; it must be 1 or more"),
        ("queue", 0, "--queue is 0; it must be 1 or more"),
    ],
)
def test_settings_out_of_range(field: str, value: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ServeSettings("base", **{field: value})


def test_sizes_to_warm_up() -> None:
    assert parse_sizes("768x512, 64x64") == ((768, 512), (64, 64))
    assert parse_sizes("none") == ()
    with pytest.raises(ValueError, match="they must be like 768x512"):
        parse_sizes("768")


@pytest.mark.skipif(importlib.util.find_spec("gradio") is not None, reason="Gradio is installed")
def test_without_gradio_the_command_says_what_to_install(capsys) -> None:
    assert main(["serve"]) == 1
    assert "pip install 'diffcomp[web]'" in capsys.readouterr().err
