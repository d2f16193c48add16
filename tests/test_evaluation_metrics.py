import functools
import json
import math
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from metric_pairs import blur, face, pairs
from pictures import jpeg, noise

from diffcomp.evaluation.metrics import shared_vgg
from diffcomp.evaluation.metrics.catalogue import METRICS, compare, compare_all

GOLDEN = json.loads((Path(__file__).parent / "golden" / "metrics.json").read_text())["pairs"]
PAIRS = pairs()
# Computed by the same formulas in other ways; for these the size of a value carries no meaning.
ABSOLUTE = {"psnr", "ssim", "ms_ssim", "cw_ssim", "gmsd", "lpips_alex", "lpips_vgg", "dists"}
# 0 where nothing is visible; two of its steps are 0 at once.
ZERO_WHERE_INVISIBLE = {"mad"}
# All but what looks at flat areas only, and what programs compute; they have tests of their own.
GENERAL = [n for n, metric in METRICS.items() if n != "flat_colour" and not metric.by_program]


def sign(name: str) -> int:
    """1 where higher values are better, -1 where lower ones are."""
    return 1 if METRICS[name].higher_is_better else -1


def test_the_metrics_and_their_order():
    assert " ".join(METRICS) == (
        "psnr ssim ms_ssim cw_ssim fsim vsi vif gmsd nlpd mad haarpsi lpips_alex lpips_vgg dists "
        "wasserstein flat_colour ssimulacra2 butteraugli"
    )
    assert all(metric.name == name for name, metric in METRICS.items())
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)


def test_the_pairs_are_those_of_the_golden_file():
    found = {name: zlib.crc32(x.tobytes() + y.tobytes()) for name, (x, y) in PAIRS.items()}
    assert found == {name: values["crc32"] for name, values in GOLDEN.items()}


@pytest.mark.parametrize("name", [name for name in GENERAL if name != "wasserstein"])
def test_equals_an_independent_implementation(name):
    rules = {"abs": 1e-4, "rel": 0} if name in ABSOLUTE else {"abs": 1e-12, "rel": 1e-3}
    for pair, (image, reference) in PAIRS.items():
        value = compare(name, image, reference)
        assert value == pytest.approx(GOLDEN[pair][name], **rules), pair


@pytest.mark.parametrize("name", GENERAL)
def test_identical_images_have_the_ideal_value(name):
    for image in (face(176, 192), noise(0, 176, 192), np.full((176, 192, 3), 77, np.uint8)):
        value = compare(name, image, image.copy())
        assert isinstance(value, float)
        assert value == pytest.approx(METRICS[name].ideal, rel=0, abs=1e-7)


@pytest.mark.parametrize("name", GENERAL)
def test_value_moves_away_from_the_ideal_as_jpeg_quality_falls(name):
    reference = face(176, 192)
    images = [jpeg(reference, quality) for quality in (95, 75, 50, 25, 10, 5)]
    values = np.array([compare(name, image, reference) for image in images])
    losses, ideal = -sign(name) * values, -sign(name) * METRICS[name].ideal
    if name in ZERO_WHERE_INVISIBLE:
        losses = losses[np.count_nonzero(losses == ideal) - 1 :]
        assert len(losses) >= 4
    else:
        assert losses[0] > ideal
    assert np.all(np.diff(losses) > 0), values


@pytest.mark.parametrize("name", GENERAL)
def test_the_smallest_image_is_taken_and_a_smaller_one_refused(name):
    metric, side = METRICS[name], METRICS[name].min_side
    value = compare(name, noise(3, side, side), noise(4, side, side))
    assert math.isfinite(value) and value != metric.ideal
    for height, width in [(side - 1, 200), (200, side - 1)]:
        image = np.zeros((height, width, 3), np.uint8)
        with pytest.raises(
            ValueError,
            match=f"image is {height}x{width} pixels; {metric.label} needs at least "
            f"{side}x{side}".replace("(", r"\(").replace(")", r"\)"),
        ):
            compare(name, image, image)


@pytest.mark.parametrize("name", GENERAL)
def test_sides_of_odd_length_are_taken(name):
    reference = face(185, 199)
    image = blur(reference, 1)
    odd, even = (
        compare(name, image[4:bottom, 4:right], reference[4:bottom, 4:right])
        for bottom, right in ((181, 195), (180, 196))
    )
    # The same face, a little more or less of it.
    assert odd == pytest.approx(even, rel=0.1)


@pytest.mark.parametrize("name", GENERAL)
def test_blank_images_are_finite_and_worse_than_a_blurred_one(name):
    reference, black = face(176, 192), np.zeros((176, 192, 3), np.uint8)
    white = black + np.uint8(255)
    blurred, *blank = (
        sign(name) * compare(name, image, reference) for image in (blur(reference, 2), black, white)
    )
    assert np.isfinite([blurred, *blank]).all()
    assert max(blank) < blurred
    # Black against white, too, which some take for equal.
    assert math.isfinite(compare(name, black, white))
    assert math.isfinite(compare(name, white, black))


def test_images_that_differ_in_size_are_refused_naming_both():
    with pytest.raises(
        ValueError, match=r"image is \(64, 80, 3\) and reference \(80, 64, 3\); they must be equal"
    ):
        compare("psnr", noise(5, 64, 80), noise(6, 80, 64))


@pytest.mark.parametrize(
    "bad",
    [np.zeros((64, 64, 3), np.float32), np.zeros((1, 64, 64, 3), np.uint8),
     np.zeros((64, 64, 1), np.uint8)],
)  # fmt: skip
def test_another_dtype_or_rank_is_refused(bad):
    good = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match=r"image is \w+ \(.*\); must be uint8 \[H, W, 3\]"):
        compare("psnr", bad, good)
    with pytest.raises(ValueError, match=r"reference is \w+ \(.*\); must be uint8 \[H, W"):
        compare("psnr", good, bad)


def test_an_unknown_metric_is_refused_with_the_choices():
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="metric is 'mse'; it must be one of psnr, ssim, .* dists"):
        compare("mse", image, image)


def test_vif_takes_the_second_image_as_the_reference():
    strong = face(96, 96)
    weak = strong // 2 + 64
    assert compare("vif", weak, strong) < 1 < compare("vif", strong, weak)


@pytest.mark.parametrize("count", [5, 6])
def test_metrics_together_are_what_they_are_one_by_one(count):
    image, reference = jpeg(face(176, 192), 25), face(176, 192)
    names = ["psnr", "dists", "ms_ssim", "lpips_vgg", "lpips_alex", "wasserstein"][:count]
    found = compare_all(names, image, reference)
    assert set(found) == set(names)
    for name in names:
        assert found[name] == pytest.approx(compare(name, image, reference), rel=0, abs=1e-6)


def test_a_metric_that_fails_leaves_the_others(monkeypatch):
    image, reference = noise(1, 64, 80), noise(2, 64, 80)

    def refuse(*args):
        raise MemoryError("too large")

    monkeypatch.setattr(shared_vgg, "compare_by_vgg", refuse)
    found = compare_all(["ms_ssim", "dists", "lpips_vgg", "psnr"], image, reference)
    assert isinstance(found["ms_ssim"], ValueError) and isinstance(found["dists"], MemoryError)
    assert isinstance(found["lpips_vgg"], MemoryError) and found["psnr"] == compare(
        "psnr", image, reference
    )


def test_what_is_kept_of_an_original_is_of_that_original():
    """Two originals of one size, judged by turns and by several threads at once."""
    shared_vgg.forget_references()
    originals = [noise(seed, 32, 48) for seed in (1, 2, 3)]
    image = noise(4, 32, 48)
    expected = [compare("dists", image, original) for original in originals]
    judge = functools.partial(shared_vgg.compare_by_vgg, ["lpips_vgg", "dists"])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(judge, [image] * 12, originals * 4))
    found = [each["dists"] for each in found]
    np.testing.assert_allclose(found, expected * 4, rtol=0, atol=1e-6)
    assert len(shared_vgg._kept) == 2
