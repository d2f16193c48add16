"""Other codecs by Pillow: real files, their ladders, and what is said of missing ones."""

import re
import sys

import numpy as np
import pytest
import skimage.data
from PIL import Image

from diffcomp.distances.distortion import psnr
from diffcomp.evaluation import pillow_codecs
from diffcomp.evaluation.baselines import BASELINES, baseline_candidate
from diffcomp.evaluation.bd_rate import bd_rate
from diffcomp.evaluation.pillow_codecs import PILLOW_FORMATS

MAGIC = {
    ".jpg": (0, b"\xff\xd8\xff"),
    ".webp": (8, b"WEBP"),
    ".avif": (4, b"ftypavif"),
    ".heic": (4, b"ftypheic"),
    ".jxl": (0, b"\xff\x0a"),
}


@pytest.mark.parametrize("name", PILLOW_FORMATS)
def test_more_bits_buy_a_better_picture_on_every_rung(name, photo):
    candidate = baseline_candidate(name)
    files = [candidate.encode(photo, quality) for quality in candidate.qualities]
    offset, magic = MAGIC[candidate.suffix]
    assert all(file[offset:].startswith(magic) for file in files if name != "heic444")
    values = [psnr(candidate.decode(file), photo) for file in files]
    assert len(files) == 5
    assert np.all(np.diff([len(file) for file in files]) > 0)
    assert np.all(np.diff(values) > 0) and values[-1] > (27 if name == "jxl-half" else 28)


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif", "avif-psnr", "heic", "jxl-half"])
def test_the_ladder_spans_the_rates_of_interest(name):
    image = skimage.data.astronaut()
    candidate = baseline_candidate(name)
    ends = (candidate.qualities[0], candidate.qualities[-1])
    low, high = (8 * len(candidate.encode(image, quality)) / (512 * 512) for quality in ends)
    # Half of the size is for low rates only.
    assert 0.05 < low < 0.3 and (name == "jxl-half" or 0.5 < high < 2)


def test_a_single_pixel_survives():
    image = np.full((1, 1, 3), 200, np.uint8)
    for name in ("jpeg", "webp", "jxl"):
        candidate = baseline_candidate(name)
        assert candidate.decode(candidate.encode(image, 60)).shape == (1, 1, 3)


def test_444_keeps_colour_that_420_loses():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, ::2, 0] = image[:, 1::2, 2] = 255  # red and blue stripes of one pixel
    half, full = (baseline_candidate(name) for name in ("jpeg", "jpeg444"))
    error = [psnr(c.decode(c.encode(image, 90)), image) for c in (half, full)]
    assert error[0] < 15 and error[1] > 25
    assert "4:2:0" in half.settings and "4:4:4" in full.settings


def test_settings_name_versions_tune_and_threads():
    assert baseline_candidate("jxl").settings.startswith("JXL by pillow-jxl-plugin 1.")
    avif = baseline_candidate("avif").settings
    assert re.fullmatch(
        r"AVIF by pillow [\d.]+ \(libavif [\d.]+, aom [\w.-]+\), tune iq, speed 4, 4:2:0, 1 thread",
        avif,
    )
    assert baseline_candidate("avif-psnr").settings == avif.replace("tune iq", "tune psnr")
    assert "libheif" in baseline_candidate("heic").settings


def test_each_tune_writes_other_files_and_psnr_is_served_by_its_own(photo):
    values = {}
    for name in ("avif", "avif-psnr", "avif-ssim"):
        candidate = baseline_candidate(name)
        points = []
        for quality in candidate.qualities:
            data = candidate.encode(photo, quality)
            points.append((len(data), psnr(candidate.decode(data), photo)))
        values[name] = points
    assert len({tuple(points) for points in values.values()}) == 3
    assert bd_rate(values["avif"], values["avif-psnr"], higher_is_better=True).percent < 0


def test_a_build_that_does_not_know_a_tune_is_named(monkeypatch):
    formats = {"avif": pillow_codecs._avif("sharpness")}
    monkeypatch.setattr(pillow_codecs, "PILLOW_FORMATS", formats)
    with pytest.raises(ImportError, match=r"avif: pillow .*aom .* refuses tune sharpness, speed 4"):
        baseline_candidate("avif")


def test_each_half_of_jxl_keeps_to_its_side_of_the_step():
    assert min(baseline_candidate("jxl").qualities) == 19
    assert max(baseline_candidate("jxl-half").qualities) == 18
    for text in ("jxl=18/40", "jxl=40/100", "jxl-half=19", "jpeg=101"):
        with pytest.raises(ValueError, match="quality of .* must be in"):
            baseline_candidate(text)
    with pytest.raises(ValueError, match="coded at half its size"):
        baseline_candidate("jxl=18/40")


def test_what_was_a_jpeg_is_coded_anew(photo, tmp_path):
    """The plugin would pack the JPEG's file, whatever the quality."""
    Image.fromarray(photo).save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        pixels = np.array(image)
    candidate = baseline_candidate("jxl")
    sizes = [len(candidate.encode(pixels, quality)) for quality in (19, 60)]
    assert sizes[0] < sizes[1] < (tmp_path / "a.jpg").stat().st_size


def test_a_ladder_can_be_given():
    assert baseline_candidate("jpeg=7/70").qualities == (7, 70)
    with pytest.raises(ValueError, match="ladder is '7/a'; it must be whole numbers"):
        baseline_candidate("jpeg=7/a")


def test_an_unknown_name_lists_the_choices():
    with pytest.raises(ValueError, match="baseline is 'jepg'; it must be one of: jpeg, jpeg444"):
        baseline_candidate("jepg")
    assert {"jpeg", "webp", "avif", "heic", "jxl", "vtm", "bpg"} <= set(BASELINES)


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [("heic", "pillow_heif", "pillow-heif"), ("jxl", "pillow_jxl", "pillow-jxl-plugin")],
)
def test_a_missing_package_is_named(name, module, package, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"{name} needs the package .* pip install {package}"):
        baseline_candidate(name)


def test_a_format_that_pillow_was_built_without_is_named(monkeypatch):
    monkeypatch.setattr(pillow_codecs.features, "check", lambda feature: False)
    with pytest.raises(ImportError, match="Baseline avif: this build of Pillow has no AVIF"):
        baseline_candidate("avif")


def test_noise_is_written_as_jpeg_too():
    """Pillow's own buffer is too small for it."""
    noise = np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8)
    candidate = baseline_candidate("jpeg444")
    assert len(candidate.encode(noise, 100)) > 2 * noise.shape[0] * noise.shape[1]
    assert psnr(candidate.decode(candidate.encode(noise, 100)), noise) > 25
