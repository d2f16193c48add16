"""Rate-distortion plots as files."""

import numpy as np
import pytest
from PIL import Image

from diffcomp.evaluation import plots
from diffcomp.evaluation.protocols import PROTOCOLS
from diffcomp.evaluation.published import QuotedPoint
from diffcomp.evaluation.summary import Point, Summary

QUOTED = [
    QuotedPoint("Rival", bpp, {"psnr": psnr}, "a paper", "") for bpp, psnr in ((0.3, 31), (0.1, 27))
]


@pytest.fixture
def summary():
    points = [
        Point(
            "base",
            str(q),
            2,
            {"bpp": 0.1 * q, "psnr": 25.0 + q, "lpips_alex": None, "fid": 9 - q},
            (),
        )
        for q in (1, 4, 8)
    ]
    columns = ("bytes", "bpp", "psnr", "lpips_alex", "fid", "patches", "encode_seconds")
    return Summary(PROTOCOLS["kodak"], columns, tuple(points), (), {}, {"base": ""}, (), ())


def test_a_png_and_an_svg_of_each_metric_with_a_curve(summary, tmp_path):
    written = plots.draw(summary, QUOTED, tmp_path / "plots")
    assert [path.name for path in written] == ["psnr.png", "psnr.svg", "fid.png", "fid.svg"]
    svg = (tmp_path / "plots" / "psnr.svg").read_text()
    for text in ("rate (bits per pixel)", "PSNR (dB), higher is better", "base", "Rival (quoted)",
                 "protocol kodak, mean of 2 images"):  # fmt: skip
        assert f">{text}</text>" in svg
    assert "stroke-dasharray" in svg
    other = (tmp_path / "plots" / "fid.svg").read_text()
    assert ">FID, lower is better</text>" in other and "Rival" not in other
    with Image.open(tmp_path / "plots" / "psnr.png") as image:
        assert image.width > 800 and np.asarray(image.convert("L")).std() > 5


def test_two_runs_draw_the_same_file(summary, tmp_path):
    for name in ("one", "two"):
        plots.draw(summary, QUOTED, tmp_path / name)
    for name in ("psnr.svg", "psnr.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_axis_of_the_rate_can_be_linear(summary, tmp_path):
    texts = []
    for linear in (False, True):
        plots.draw(summary, [], tmp_path, linear_rate=linear)
        texts.append((tmp_path / "psnr.svg").read_text())
    assert ">0.8</text>" in texts[1] and ">0.8</text>" not in texts[0]


def test_quoted_points_become_curves_by_rate():
    assert plots.quoted_curves(QUOTED, "psnr") == {"Rival": [(0.1, 27), (0.3, 31)]}
    assert plots.quoted_curves(QUOTED, "dists") == {}
