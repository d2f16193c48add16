"""A model's rows beside those of other codecs that are nearest in bytes."""

import csv
import math
import runpy
from pathlib import Path

import pytest

from diffcomp.evaluation import failure_table
from diffcomp.evaluation.row_file import RowFile, Settings
from diffcomp.evaluation.rows import Row

METRICS = ("psnr", "lpips_alex", "flat_colour")
MAIN = runpy.run_path(str(Path(__file__).resolve().parents[1] / "launch" / "failure_table.py"))[
    "main"
]
SIZES = {
    ("stars", "jpeg", 5): 600, ("stars", "own", 4): 1000, ("stars", "own", 8): 4000,
    ("stars", "jpeg", 20): 1300, ("stars", "avif", 30): 9000, ("text", "own", 4): 2000,
    ("text", "jpeg", 5): 2100,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    settings = Settings("failures", METRICS, {"own": "o", "jpeg": "j", "avif": "a"})
    rows = RowFile(tmp_path / "out", settings)
    for (image, codec, quality), size in SIZES.items():
        psnr = math.inf if codec == "avif" else size / 100
        flat = None if image == "stars" else 1.25
        metrics = {"psnr": psnr, "lpips_alex": 0.5, "flat_colour": flat}
        times = 0.1, 0.2
        rows.append(
            Row(image, codec, codec[0], quality, 64, 50, size, size / 400, *times, "00", metrics)
        )
    return tmp_path / "out"


def test_the_nearest_in_bytes_stand_beside_the_model(folder, tmp_path, capsys):
    assert MAIN([str(folder), "--csv", str(tmp_path / "failures.csv")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| picture | own, quality 4 | jpeg | avif |",
        "|---|---|---|---|",
        "| stars | 1.0 kB, 10.0 dB, LPIPS 0.500 | 1.3 kB, 13.0 dB, LPIPS 0.500 | 9.0 kB, exact, "
        "LPIPS 0.500 |",
        "| text | 2.0 kB, 20.0 dB, LPIPS 0.500, Delta E 1.2 | 2.1 kB, 21.0 dB, LPIPS 0.500, "
        "Delta E 1.2 | none |",
    ]
    with (tmp_path / "failures.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(r["image"], r["codec"], r["bytes"]) for r in lines] == [
        ("stars", "own", "1000"), ("stars", "jpeg", "1300"), ("stars", "avif", "9000"),
        ("text", "own", "2000"), ("text", "jpeg", "2100"),
    ]  # fmt: skip
    assert list(lines[0])[-3:] == list(METRICS) and lines[0]["settings"] == "o"


def test_what_is_not_there_is_said(folder, tmp_path, capsys):
    assert MAIN([str(folder), "--quality", "3"]) == 1
    error = capsys.readouterr().err
    assert "no row of own at quality 3; there are: avif at 30, jpeg at 20" in error
    assert MAIN([str(tmp_path / "absent")]) == 1
    assert "rows.csv" in capsys.readouterr().err
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(failure_table.FileError, match="holds no rows of an evaluation"):
        failure_table.read_rows(folder)
