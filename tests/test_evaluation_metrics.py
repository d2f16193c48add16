import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
from metric_pairs import blur, face, pairs
from pictures import jpeg, noise

from diffcomp.evaluation.metrics.catalogue import METRICS, measure

GOLDEN = json.loads((Path(__file__).parent / "golden" / "metrics.json").read_text())["pairs"]
PAIRS = pairs()
# Computed by the same formulas in other ways; for these the size of a value carries no meaning.
ABSOLUTE = {"psnr", "ssim", "ms_ssim", "cw_ssim", "gmsd", "lpips_alex", "lpips_vgg", "dists"}
# 0 where nothing is visible; two of its steps are 0 at once.
ZERO_WHERE_INVISIBLE = {"mad"}


def sign(name: str) -> int:
    """1 where higher values are better, -1 where lower ones are."""
    return 1 if METRICS[name].higher_is_better else -1


def test_the_metrics_and_their_order():
    assert " ".join(METRICS) == (
        "psnr ssim ms_ssim cw_ssim fsim vsi vif gmsd nlpd mad haarpsi lpips_alex lpips_vgg dists"
    )
    assert all(metric.name == name for name, metric in METRICS.items())
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)


def test_the_pairs_are_those_of_the_golden_file():
    found = {name: zlib.crc32(x.tobytes() + y.tobytes()) for name, (x, y) in PAIRS.items()}
    assert found == {name: values["crc32"] for name, values in GOLDEN.items()}


@pytest.mark.parametrize("name", METRICS)
def test_equals_an_independent_implementation(name):
    rules = {"abs": 1e-4, "rel": 0} if name in ABSOLUTE else {"abs": 1e-12, "rel": 1e-3}
    for pair, (image, reference) in PAIRS.items():
        (value,) = measure(name, image[None], reference[None])
        assert value == pytest.approx(GOLDEN[pair][name], **rules), pair


@pytest.mark.parametrize("name", METRICS)
def test_identical_images_have_the_ideal_value(name):
    images = np.stack([face(176, 192), noise(0, 176, 192), np.full((176, 192, 3), 77, np.uint8)])
    values = measure(name, images, images.copy())
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, [METRICS[name].ideal] * 3, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", METRICS)
def test_value_moves_away_from_the_ideal_as_jpeg_quality_falls(name):
    reference = face(176, 192)
    images = np.stack([jpeg(reference, quality) for quality in (95, 75, 50, 25, 10, 5)])
    values = measure(name, images, np.stack([reference] * len(images)))
    losses, ideal = -sign(name) * values, -sign(name) * METRICS[name].ideal
    if name in ZERO_WHERE_INVISIBLE:
        losses = losses[np.count_nonzero(losses == ideal) - 1 :]
        assert len(losses) >= 4
    else:
        assert losses[0] > ideal
    assert np.all(np.diff(losses) > 0), values


@pytest.mark.parametrize("name", METRICS)
def test_the_smallest_image_is_taken_and_a_smaller_one_refused(name):
    metric, side = METRICS[name], METRICS[name].min_side
    smallest = noise(3, side, side), noise(4, side, side)
    (value,) = measure(name, smallest[0][None], smallest[1][None])
    assert math.isfinite(value) and value != metric.ideal
    for height, width in [(side - 1, 200), (200, side - 1)]:
        image = np.zeros((1, height, width, 3), np.uint8)
        with pytest.raises(
            ValueError,
            match=f"images are {height}x{width} pixels; {metric.label} needs at least "
            f"{side}x{side}".replace("(", r"\(").replace(")", r"\)"),
        ):
            measure(name, image, image)


@pytest.mark.parametrize("name", METRICS)
def test_sides_of_odd_length_are_taken(name):
    reference = face(185, 199)
    image = blur(reference, 1)
    odd, even = (
        measure(name, image[None, 4:bottom, 4:right], reference[None, 4:bottom, 4:right])[0]
        for bottom, right in ((181, 195), (180, 196))
    )
    # The same face, a little more or less of it.
    assert odd == pytest.approx(even, rel=0.1)


@pytest.mark.parametrize("name", METRICS)
def test_blank_images_are_finite_and_worse_than_a_blurred_one(name):
    reference, black = face(176, 192), np.zeros((176, 192, 3), np.uint8)
    white = black + np.uint8(255)
    images = np.stack([blur(reference, 2), black, white, black, white])
    values = measure(name, images, np.stack([*[reference] * 3, white, black]))
    assert np.isfinite(values).all()  # black against white, too, which some take for equal
    blurred, *blank = sign(name) * values[:3]
    assert max(blank) < blurred, values


def test_each_image_of_a_batch_is_set_against_its_own_reference():
    references = np.stack([face(64, 64), noise(1, 64, 64), face(64, 64)])
    images = np.stack([blur(references[0], 2), noise(2, 64, 64), references[2] // 2 + 9])
    together = measure("psnr", images, references)
    squared = np.mean((images.astype(float) - references) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(together, 10 * np.log10(255**2 / squared), rtol=1e-9)
    assert len(set(together)) == 3


def test_images_that_differ_in_size_are_refused_naming_both():
    images, references = noise(5, 64, 80)[None], noise(6, 80, 64)[None]
    with pytest.raises(
        ValueError, match=r"images are \(1, 64, 80, 3\) and references \(1, 80, 64, 3\); they must"
    ):
        measure("psnr", images, references)
    with pytest.raises(ValueError, match=r"images are \(2, 64, 80, 3\) and references \(1, 64"):
        measure("ssim", np.repeat(images, 2, axis=0), images)


@pytest.mark.parametrize(
    "bad",
    [np.zeros((1, 64, 64, 3), np.float32), np.zeros((64, 64, 3), np.uint8),
     np.zeros((1, 64, 64, 1), np.uint8)],
)  # fmt: skip
def test_another_dtype_or_rank_is_refused(bad):
    good = np.zeros((1, 64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match=r"images are \w+ \(.*\); must be uint8 \[B, H, W, 3\]"):
        measure("psnr", bad, good)
    with pytest.raises(ValueError, match=r"references are \w+ \(.*\); must be uint8 \[B, H, W"):
        measure("psnr", good, bad)


def test_an_unknown_metric_is_refused_with_the_choices():
    image = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="metric is 'mse'; it must be one of psnr, ssim, .* dists"):
        measure("mse", image, image)


def test_vif_takes_the_second_image_as_the_reference():
    strong = face(96, 96)[None]
    weak = strong // 2 + 64
    assert measure("vif", weak, strong) < 1 < measure("vif", strong, weak)
