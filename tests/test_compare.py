"""launch/compare.py: the table that sets a model beside JPEG."""

import csv
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from diffcomp.coding.bitstream import HEADER_BYTES

ROOT = Path(__file__).parents[1]
TINY_MODEL = ROOT / "tests" / "golden" / "tiny_model"
COLUMNS = ("bpp", "estimate", "psnr", "lpips", "jpeg_psnr", "jpeg_lpips")


def test_a_row_per_image_and_quality_and_their_mean(tmp_path, photo):
    for name, image in (("a", photo[:64, :64]), ("b", photo[:64, 64:])):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    command = [sys.executable, ROOT / "launch" / "compare.py", "a.png", "b.png", "--steps=1"]
    command += [
        "--csv=rows.csv",
        "--quality=3,8",
        f"--model={ROOT / 'tests' / 'golden' / 'tiny_model'}",
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    header, *lines = [line.split() for line in done.stdout.splitlines()]
    assert header == ["image", "q", *COLUMNS]
    rows = {(name, q): np.array(values, float) for name, q, *values in lines}
    assert set(rows) == {(name, q) for name in ("a", "b", "mean") for q in ("3", "8")}
    with (tmp_path / "rows.csv").open() as file:
        kept = {(row["image"], row["quality"]): row for row in csv.DictReader(file)}
    assert set(kept) == {key for key in rows if key[0] != "mean"}
    for key, row in kept.items():
        values = [float(row[column]) for column in COLUMNS]
        np.testing.assert_allclose(values, rows[key], rtol=1e-3, atol=1e-4)
    for (name, q), row in rows.items():
        bpp, estimate, psnr = row[:3]
        assert abs(bpp - estimate) < 0.01 * estimate + 8 * 32 / 64**2
        assert bpp > 8 * HEADER_BYTES / 64**2 and 5 < psnr < 60
        if name == "mean":
            mean = (rows["a", q] + rows["b", q]) / 2
            np.testing.assert_allclose(row, mean, atol=1.01e-4)
        # No JPEG, with its headers, is as small as the tiny model's files: no value is made up.
        assert np.isnan(row[4:]).all()


def test_jpeg_is_interpolated_in_the_bytes():
    curve = runpy.run_path(str(ROOT / "launch" / "compare.py"))["JpegCurve"](
        sizes=np.array([100.0, 200.0]), psnr=np.array([20.0, 30.0]), lpips=np.array([0.5, 0.1])
    )
    np.testing.assert_allclose(curve.at(125), (22.5, 0.4))
    assert np.isnan(curve.at(99)).all() and np.isnan(curve.at(201)).all()
