"""Other codecs by Pillow: real files, their ladders, and what is said of missing ones."""

import sys

import numpy as np
import pytest
import skimage.data

from diffcomp.distances.distortion import psnr
from diffcomp.evaluation import baselines
from diffcomp.evaluation.baselines import BASELINES, PILLOW_FORMATS, baseline_candidate

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
    assert np.all(np.diff(values) > 0) and values[-1] > 28


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif", "heic", "jxl"])
def test_the_ladder_spans_the_rates_of_interest(name):
    image = skimage.data.astronaut()
    candidate = baseline_candidate(name)
    ends = (candidate.qualities[0], candidate.qualities[-1])
    low, high = (8 * len(candidate.encode(image, quality)) / (512 * 512) for quality in ends)
    assert 0.05 < low < 0.3 and 0.5 < high < 2


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


def test_settings_name_the_version():
    assert baseline_candidate("jxl").settings.startswith("JXL by pillow-jxl-plugin 1.")


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
    monkeypatch.setattr(baselines.features, "check", lambda feature: False)
    with pytest.raises(ImportError, match="Baseline avif: this build of Pillow has no AVIF"):
        baseline_candidate("avif")
