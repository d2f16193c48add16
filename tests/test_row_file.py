"""Rows on disk: what a later run finds, and when it refuses."""

import csv
import dataclasses
import json
import math

import pytest

from diffcomp.evaluation.row_file import RowFile, Settings
from diffcomp.evaluation.rows import Failure, Row, quality_text
from diffcomp.files.atomic_file import FileError

SETTINGS = Settings("none", ("psnr",), {"jpeg": "JPEG 1"})
ROW = Row(
    image="a, b",
    codec="jpeg",
    settings="JPEG 1",
    quality=5,
    width=4,
    height=5,
    bytes=10,
    bpp=4,
    encode_seconds=0.25,
    decode_seconds=1.5,
    pixels_crc="00",
    metrics={"psnr": 30.5},
)
FAILURE = Failure("a, b", "jpeg", 5, "ssim", "a reason")
KEY = ("a, b", "jpeg", "5")


@pytest.fixture
def folder(tmp_path):
    """A folder with one row, and an error of it."""
    rows = RowFile(tmp_path / "out", SETTINGS)
    rows.append(ROW)
    rows.append_failure(FAILURE)
    return tmp_path / "out"


def test_rows_are_found_again(folder):
    rows = RowFile(folder, SETTINGS)
    assert rows.rows == {KEY: ROW}
    assert rows.failures == [FAILURE]


def test_rows_and_failures_as_they_are_written(folder):
    assert (folder / "rows.csv").read_text().splitlines() == [
        "image,protocol,codec,settings,quality,width,height,bytes,bpp,psnr,encode_seconds,decode_seconds,"
        "pixels_crc",
        '"a, b",none,jpeg,JPEG 1,5,4,5,10,4.000000,30.5,0.2500,1.5000,00',
    ]
    assert (folder / "errors.csv").read_text().splitlines() == [
        "image,codec,quality,step,reason",
        '"a, b",jpeg,5,ssim,a reason',
    ]


@pytest.mark.parametrize(
    "row",
    [
        dataclasses.replace(ROW, quality=None, metrics={"psnr": None, "ssim": math.inf}),
        dataclasses.replace(ROW, quality=10 / 3, bpp=1 / 3, encode_seconds=2 / 3),
        dataclasses.replace(ROW, decode_seconds=1e-9, metrics={"psnr": 100 / 3, "ssim": -1e-9 / 3}),
    ],
)
def test_a_row_as_written_is_the_one_that_is_read(row):
    written = row.as_written()
    assert written.cells() == row.cells()
    assert Row.from_cells(written.cells(), tuple(row.metrics)) == written
    for column, value in row.figures().items():
        assert written.figures()[column] == (value and pytest.approx(value, rel=1e-5, abs=1e-4))


def test_half_a_line_is_dropped(folder):
    path = folder / "rows.csv"
    before = path.read_bytes()
    path.write_bytes(before + b"c,none,jp")
    rows = RowFile(folder, SETTINGS)
    assert list(rows.rows) == [KEY]
    rows.append(dataclasses.replace(ROW, image="c"))
    with path.open(newline="") as file:
        assert [row["image"] for row in csv.DictReader(file)] == ["a, b", "c"]


def test_errors_of_rows_that_will_be_tried_again_are_forgotten(folder):
    rows = RowFile(folder, SETTINGS)
    rows.append_failure(Failure("c", "jpeg", 5, "encode", "no memory"))
    assert RowFile(folder, SETTINGS).failures == [FAILURE]
    assert len((folder / "errors.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (Settings("kodak", ("psnr",), {}), "protocol was none, is kodak; choose another --out"),
        (Settings("none", ("psnr", "ssim"), {}), "metrics were psnr, are psnr, ssim; choose"),
        (Settings("none", ("psnr",), {"jpeg": "JPEG 2"}), "jpeg was 'JPEG 1', is 'JPEG 2'; cho"),
    ],
)
def test_other_settings_are_refused_unless_the_run_restarts(folder, settings, text):
    with pytest.raises(FileError, match=text):
        RowFile(folder, settings)
    assert RowFile(folder, settings, restart=True).rows == {}
    assert RowFile(folder, settings).failures == []


def test_a_further_codec_is_welcome_and_the_former_not_forgotten(folder):
    RowFile(folder, Settings("none", ("psnr",), {"webp": "WEBP 1"}))
    kept = json.loads((folder / "settings.json").read_text())
    assert kept["coders"] == {"jpeg": "JPEG 1", "webp": "WEBP 1"}


def test_a_row_of_other_settings_is_refused(folder):
    path = folder / "rows.csv"
    path.write_text(path.read_text().replace("JPEG 1", "JPEG 0"))
    with pytest.raises(FileError, match=r"rows.csv: jpeg was 'JPEG 0', is 'JPEG 1'; choose"):
        RowFile(folder, SETTINGS)


def test_another_picture_of_the_same_name_is_refused(folder):
    rows = RowFile(folder, SETTINGS)
    rows.check_image("a, b", "00")
    with pytest.raises(FileError, match="image a, b was another picture; choose another --out"):
        rows.check_image("a, b", "01")


def test_foreign_files_are_refused(folder):
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FileError, match=r"rows.csv: its header is not image,protocol,codec"):
        RowFile(folder, SETTINGS)
    (folder / "settings.json").write_text("[]")
    with pytest.raises(FileError, match="settings.json: not the settings of an evaluation"):
        RowFile(folder, SETTINGS)
    (folder / "settings.json").unlink()
    with pytest.raises(FileError, match="there is no settings.json beside it"):
        RowFile(folder, SETTINGS)


def test_a_row_of_wrong_length_is_named(folder):
    with (folder / "rows.csv").open("a") as file:
        file.write("c,none\n")
    with pytest.raises(FileError, match=r"rows.csv: line 3 has 2 cells, not 13"):
        RowFile(folder, SETTINGS)


def test_a_cell_that_is_no_number_is_named(folder):
    with (folder / "rows.csv").open("a") as file:
        file.write("c,none,jpeg,JPEG 1,5,4,5,ten,4,30,0,0,00\n")
    with pytest.raises(FileError, match=r"rows.csv: line 3: invalid literal for int.*'ten'"):
        RowFile(folder, SETTINGS)


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(FileError, match="out: File exists"):
        RowFile(tmp_path / "out", SETTINGS)


def test_qualities_as_rows_spell_them():
    assert [quality_text(q) for q in (3.0, 3.5, None)] == ["3", "3.5", ""]
