"""What the page does with a picture, below the page: no Gradio, no browser."""

import io
import os
import re
import threading
import time
import zlib

import numpy as np
import pytest
import tiny_model
from PIL import Image

from diffcomp import cli
from diffcomp.coding.bitstream import BitstreamError
from diffcomp.coding.file_info import file_info
from diffcomp.decode_settings import DecodeSettings
from diffcomp.evaluation.pillow_codecs import pillow_candidate
from diffcomp.files.image_error import ImageError
from diffcomp.rate_search import OutOfReach
from diffcomp.web import figures, jobs, pictures, plot
from diffcomp.web.equal_avif import equal_avif
from diffcomp.web.pace import Cancelled, JobProgress, Pace
from diffcomp.web.settings import ServeSettings, parse_sizes
from diffcomp.web.visitors import STRAY, Visitors
from diffcomp.web.warm_up import warm_up

DECODE = DecodeSettings(steps=2, seed=3)


def progress(pixels, stages, pace=None, cancelled=None):
    """A job's progress, and all that it tells."""
    told = []
    watched = JobProgress(
        pace or Pace(), pixels, stages, lambda *heard: told.append(heard), cancelled or _never()
    )
    return watched, told


def _never():
    return threading.Event()


def picture_bytes(pixels, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def test_a_job_gives_what_the_codec_gives():
    image, codec = tiny_model.image(), tiny_model.codec()
    rate = jobs.Rate(quality=5.0)
    watched, told = progress(75 * 101, jobs.stages_of(rate, DECODE))
    coded = jobs.compress_picture(codec, image, rate, DECODE, watched)
    assert coded.data == codec.compress(image, 5.0)
    assert np.array_equal(coded.decoded, codec.decompress(coded.data, steps=2, seed=3))
    assert coded.bpp == 8 * len(coded.data) / (75 * 101)
    fractions = [fraction for _, fraction, _ in told]
    assert fractions == sorted(fractions) and fractions[0] >= 0 and fractions[-1] <= 1


def test_a_size_is_met():
    image, codec = tiny_model.image(), tiny_model.codec()
    least, most = (len(codec.compress(image, q)) for q in (1.0, 8.0))
    rate = jobs.Rate(target_bytes=(least + most) / 2)
    watched, _ = progress(75 * 101, jobs.stages_of(rate, DECODE))
    coded = jobs.compress_picture(codec, image, rate, DECODE, watched)
    assert 0.9 * rate.target_bytes <= len(coded.data) <= rate.target_bytes
    assert file_info(coded.data).quality == coded.quality
    with pytest.raises(OutOfReach, match="the least, at quality 1"):
        jobs.compress_picture(codec, image, jobs.Rate(target_bytes=9.0), DECODE, watched)


def test_the_highest_quality_that_is_not_larger(photo):
    found = equal_avif(photo, 3000)
    assert len(found.data) <= 3000 and found.quality < 100
    with Image.open(io.BytesIO(found.data)) as image:
        assert image.format == "AVIF"
        assert np.array_equal(np.array(image.convert("RGB")), found.decoded)
    assert equal_avif(photo, len(found.data)).data == found.data
    following = pillow_candidate("avif").encode(photo, found.quality + 1)
    assert len(following) > 3000
    assert equal_avif(photo, len(following)).quality > found.quality


def test_no_avif_is_so_small(photo):
    assert equal_avif(photo, 50) is None
    watched, _ = progress(photo.size // 3, {jobs.AVIF: 1})
    assert jobs.avif_of(photo, 50, watched) is None
    assert "none is as small as 50 bytes" in figures.avif_lines(None, 50)


def test_a_cancelled_search_for_an_avif_encodes_nothing_more(photo):
    cancelled = threading.Event()
    watched, _ = progress(photo.size // 3, {jobs.AVIF: 1}, cancelled=cancelled)
    calls = []

    def check():
        calls.append(1)
        cancelled.set()
        watched.check()

    with pytest.raises(Cancelled):
        equal_avif(photo, 3000, check)
    assert len(calls) == 1


def test_a_large_picture_is_refused_by_its_header_alone():
    # IHDR of 50,000 x 50,000 pixels and nothing that could be decoded.
    forged = bytearray(picture_bytes(np.zeros((8, 8, 3), np.uint8)))
    forged[16:24] = (50000).to_bytes(4, "big") * 2
    forged[29:33] = zlib.crc32(forged[12:29]).to_bytes(4, "big")
    with pytest.raises(ImageError, match="is too large"):
        jobs.read_picture(bytes(forged), 2**24)
    data = picture_bytes(np.zeros((10, 11, 3), np.uint8))
    assert jobs.read_picture(data, 110).pixels.shape == (10, 11, 3)
    with pytest.raises(ImageError, match="the file: is too large: 11x10, 110 pixels, and 109 are"):
        jobs.read_picture(data, 109)


def test_text_and_forged_files_are_refused():
    with pytest.raises(ImageError, match="the file: is not a picture"):
        jobs.read_picture(b"not a picture\n" * 20, 2**24)
    with pytest.raises(BitstreamError, match="too large"):
        file_info(tiny_model.FILE.read_bytes(), max_pixels=75 * 101 - 1)
    watched, _ = progress(75 * 101, jobs.decode_stages(DECODE))
    damaged = bytearray(tiny_model.FILE.read_bytes())
    damaged[9] ^= 1  # the width
    with pytest.raises(BitstreamError, match="damaged"):
        jobs.decode_file(tiny_model.codec(), bytes(damaged), DECODE, watched)


def test_transparency_becomes_white_and_is_noted():
    pixels = np.zeros((4, 4, 4), np.uint8)
    loaded = jobs.read_picture(picture_bytes(pixels), 2**24)
    assert (loaded.pixels == 255).all()
    assert any("transparency" in note for note in loaded.notes)


def test_a_cancelled_job_stops_in_the_middle():
    cancelled, told = threading.Event(), []
    rate = jobs.Rate(quality=4.0)

    def tell(text, fraction, left):
        told.append(text)
        if text.startswith(jobs.DECODING):
            cancelled.set()

    watched = JobProgress(Pace(), 75 * 101, jobs.stages_of(rate, DECODE), tell, cancelled)
    with pytest.raises(Cancelled):
        jobs.compress_picture(tiny_model.codec(), tiny_model.image(), rate, DECODE, watched)
    assert [text.split()[0] for text in told] == [jobs.COMPRESSING, jobs.DECODING]


def test_time_left_is_of_what_is_left():
    pace = Pace()
    pace.learn("a", 10**6, 4.0)
    pace.learn("b", 10**6, 2.0)
    watched, told = progress(2 * 10**6, {"a": 1, "b": 3}, pace)
    with watched.stage("a") as parts:
        parts(1, 2)
    with watched.stage("b"):
        pass
    texts, fractions, left = zip(*told, strict=True)
    assert texts == ("a", "a", "b")
    assert fractions == pytest.approx((0, 4 / 20, 8 / 20))
    assert left[0] == 20  # 2 megapixels at 4 s, then three times at 2 s
    assert 0 < left[2] < left[1] < left[0]  # it goes faster than expected


def test_what_compiles_first_is_said_and_teaches_nothing():
    pace = Pace()
    before = pace.expected("a", 10**6)
    for expected in ("a (compiles first", "a"):
        watched, told = progress(10**6, {"a": 1}, pace)
        with watched.stage("a", ("programs", 64)):
            pass
        ((text, _, left),) = told
        assert text.startswith(expected) and (left is None) == (expected != "a")
        assert (pace.expected("a", 10**6) == before) == (expected != "a")


def test_warm_up_runs_what_visitors_will():
    said, pace, codec = [], Pace(), tiny_model.codec()
    warm_up(codec, ServeSettings("tiny", warm_up=((101, 75), (64, 64))), pace, said.append)
    assert [line.split(",")[0] for line in said] == [
        "warm-up: 101 x 75 pixels",
        "warm-up: 64 x 64 pixels",
    ]
    watched, told = progress(75 * 101, jobs.decode_stages(codec.model.decode), pace)
    jobs.decode_file(codec, tiny_model.FILE.read_bytes(), DecodeSettings(steps=2), watched)
    assert "compiles" not in told[0][0] and told[0][2] is not None


def test_files_go_with_the_last_who_uploaded_them(tmp_path):
    visitors = Visitors(tmp_path)
    upload = tmp_path / "digest" / "photo.png"
    upload.parent.mkdir()
    upload.write_bytes(b"x")
    for visitor in ("a", "../b"):
        visitors.keep_upload(visitor, upload)
        (visitors.new_folder(visitor, "coded") / "photo.dfc").write_bytes(b"y")
    stops = visitors.cancelled("a")
    visitors.leave("a")
    assert stops.is_set() and upload.is_file()
    visitors.leave("../b")
    visitors.leave("nobody")
    assert list(tmp_path.iterdir()) == []


def test_new_results_replace_those_before(tmp_path):
    visitors = Visitors(tmp_path)
    first = visitors.new_folder("a", "coded")
    other = visitors.new_folder("a", "avif")
    second = visitors.new_folder("a", "coded")
    assert not first.exists() and other.is_dir() and second.is_dir()
    visitors.cancel("a")
    assert not visitors.cancelled("a").is_set()  # of jobs to come


def test_what_an_upload_that_broke_off_leaves_is_swept(tmp_path):
    for name, age in (("old", STRAY + 5), ("new", 0)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    Visitors(tmp_path).sweep()
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_what_is_said_is_text():
    assert "<script" not in figures.refusal("b'<script>'")
    points = figures.with_point([], "base", 0.5, 30.0)
    assert figures.with_point(points, "base", 0.5, np.inf) == points


def test_points_stand_where_they_belong():
    points = [figures.Point("base", 0.2, 30.0), figures.Point("<AVIF>", 0.25, 34.0)]
    text = plot.plotted(points)
    # Ticks: 0 to 0.3 bits per pixel in steps of 0.1, 29 to 35 dB in steps of 1.
    assert re.findall(r'cx="(.+?)%" cy="(.+?)%"', text) == [("66.67", "83.33"), ("83.33", "16.67")]
    assert "<AVIF>" not in text and "&lt;AVIF&gt;: 0.250 bpp, 34.00 dB" in text
    assert plot.plotted([]) == ""
    assert "NaN" not in plot.plotted(points[:1])


def test_what_is_shown_is_lossless(tmp_path, monkeypatch, photo):
    path = pictures.write_shown(tmp_path, "shown", photo)
    assert path.suffix == ".webp"
    monkeypatch.setattr(pictures, "MAX_WEBP_SIDE", photo.shape[1] - 1)
    long = pictures.write_shown(tmp_path, "long", photo)
    assert long.suffix == ".png"
    for file in (path, long):
        with Image.open(file) as image:
            assert np.array_equal(np.array(image), photo)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--port", "70000"], "--port is 70000"),
        (["--max-pixels", "0"], "max_pixels must be"),
        (["--max-bytes", "12x"], "size is '12x'"),
        (["--queue", "0"], "--queue is 0"),
        (["--warm-up", "big"], "sizes are 'big'"),
        (["--warm-up", "9000x9000"], "too large"),
    ],
)
def test_options_out_of_range(options, reason, capsys):
    assert cli.main(["serve", *options]) == 2
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1


def test_without_gradio_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["serve"]) == 1
    assert capsys.readouterr().err == (
        "diffcomp: the page needs Gradio: pip install 'diffcomp[web]'.\n"
    )


def test_sizes():
    assert parse_sizes(" 768x512, 64x64") == ((768, 512), (64, 64))
    assert parse_sizes("none") == ()
