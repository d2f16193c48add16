"""Quoted figures are whole, plausible and sourced."""

from diffcomp.evaluation import published
from diffcomp.evaluation.plots import quoted_curves


def test_kodaks_figures():
    points = published.load("kodak")
    codecs = {point.codec for point in points}
    assert {"HiFiC", "MS-ILLM", "CDC (third party)", "VTM (CompressAI's)"} <= codecs
    limits = {
        "psnr": (15, 45),
        "ms_ssim": (0.6, 1),
        "lpips_alex": (0.01, 0.6),
        "dists": (0.01, 0.4),
    }
    for point in points:
        assert point.source and point.values and 0.005 < point.bpp < 1
        for name, value in point.values.items():
            assert limits[name][0] < value < limits[name][1], point


def test_more_bits_never_make_a_quoted_picture_worse():
    points = published.load("kodak")
    for name, sign in (("psnr", 1), ("ms_ssim", 1), ("lpips_alex", -1), ("dists", -1)):
        for codec, curve in quoted_curves(points, name).items():
            values = [sign * value for _, value in curve]
            assert values == sorted(values), (codec, name)


def test_estimates_are_called_so():
    notes = {point.codec: point.note for point in published.load("kodak")}
    assert "estimated rates" in notes["CDC (third party)"] and "estimated" in notes["C3"]


def test_a_protocol_without_figures_has_none():
    assert published.load("coco") == []
