"""Means, their notes, and the files they stand in."""

import csv
import dataclasses
import json

import pytest

from diffcomp.evaluation import printed_tables, summary, summary_files
from diffcomp.evaluation.columns import definitions
from diffcomp.evaluation.protocols import PROTOCOLS
from diffcomp.evaluation.rows import Row


def row(image, codec, quality, bpp, psnr, lpips=0.5):
    made = Row(
        image=image,
        codec=codec,
        settings=codec[0],
        quality=quality,
        width=40,
        height=20,
        bytes=round(100 * bpp),
        bpp=bpp,
        encode_seconds=0.5,
        decode_seconds=1.5,
        pixels_crc="00",
        metrics={"psnr": psnr, "lpips_alex": lpips},
    )
    return made.key, made


ROWS = dict(
    row(image, codec, quality, 0.1 * quality * factor, 20 + quality + extra)
    for quality in (1, 2, 4, 8)
    for codec, factor in (("new", 0.5), ("jpeg", 1))
    for image, extra in (("a", 0), ("b", 10))
)
NAMES = ("psnr", "lpips_alex")
LADDERS = {"new": (1, 2, 4, 8), "jpeg": (1, 2, 4, 8)}
JUDGED = dict.fromkeys(LADDERS, NAMES)
TOO_FEW = "2 pictures; an interval takes 5"


@pytest.fixture
def found():
    points = summary.summarize(ROWS, LADDERS, JUDGED, {})
    return summary.Summary(
        protocol=PROTOCOLS["none"],
        columns=(*summary.MEANS, *NAMES, *summary.TIMES),
        points=tuple(points),
        rates=tuple(summary.compare_codecs(ROWS, LADDERS, JUDGED, dict.fromkeys(NAMES, "jpeg"))),
        definitions=definitions(NAMES, (), 2),
        candidates={"new": "n", "jpeg": "j"},
        tuned=(),
        notes=("a note",),
    )


def test_rates_of_each_class_are_of_its_pictures_alone(found, tmp_path, capsys):
    rates = dict.fromkeys(NAMES, "jpeg")
    classes = {"a": "portrait", "b": "foliage", "elsewhere": "night"}
    of_classes = summary.compare_classes(classes, ROWS, LADDERS, JUDGED, rates)
    assert [(name, r.metric, r.of) for name, r in of_classes if r.metric == "psnr"] == [
        ("foliage", "psnr", 1),
        ("portrait", "psnr", 1),
    ]
    alone = {key: row for key, row in ROWS.items() if key[0] == "b"}
    assert of_classes[0][1] == summary.compare_codecs(alone, LADDERS, JUDGED, rates)[0]
    assert not summary.compare_classes({"a": "one", "b": "one"}, ROWS, LADDERS, JUDGED, rates)
    found = dataclasses.replace(found, class_rates=tuple(of_classes))
    summary_files.write(found, tmp_path)
    with (tmp_path / "class_rates.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    expected = [(name, metric) for name in ("foliage", "portrait") for metric in NAMES]
    assert [(line["class"], line["metric"]) for line in lines] == expected
    kept = json.loads((tmp_path / "summary.json").read_text())["class_rates"]
    assert kept[0]["class"] == "foliage" and kept[0]["bd_rate_percent"] == pytest.approx(-50)
    printed_tables.print_summary(found, "out")
    assert "by class of picture" in capsys.readouterr().out


def test_each_image_weighs_the_same_and_decibels_are_averaged(found):
    assert [(p.codec, p.quality) for p in found.points][:5] == [
        ("new", "1"), ("new", "2"), ("new", "4"), ("new", "8"), ("jpeg", "1"),
    ]  # fmt: skip
    point = found.points[1]
    assert point.means["psnr"] == 27 and point.means["bpp"] == pytest.approx(0.1)
    assert point.images == 2 and point.notes == ()
    assert found.curve("jpeg", "psnr")[0] == pytest.approx((0.1, 26))


def test_infinite_and_missing_values_are_left_out_and_noted():
    key, other = row("a", "c", 1, 1, float("inf"), None), row("b", "c", 1, 3, 40)
    point = summary.mean_point("c", "1", [key[1], other[1]], ("bpp", *NAMES))
    assert point.means == {"bpp": 2, "psnr": 40, "lpips_alex": 0.5}
    assert point.notes == (
        "psnr: 1 of 2 images ∞, left out",
        "lpips_alex: 1 of 2 images missing, left out",
    )
    lossless = summary.mean_point("c", "1", [key[1]], NAMES)
    assert lossless.means == {"psnr": None, "lpips_alex": None}


def test_rates_of_the_means(found):
    rates = {(each.metric, each.codec): each.rate for each in found.rates}
    assert set(rates) == {("psnr", "new"), ("lpips_alex", "new")}
    assert rates["psnr", "new"].percent == pytest.approx(-50)
    assert "not monotone in rate" in rates["lpips_alex", "new"].reason


def test_a_distance_of_sets_has_a_rate_without_an_interval():
    sets = {(codec, str(q)): {"fid": 100 / q} for codec, ladder in LADDERS.items() for q in ladder}
    points = summary.summarize(ROWS, LADDERS, JUDGED, sets)
    (found,) = summary.compare_by_sets(points, {"fid": "jpeg"})
    assert found.rate.percent == pytest.approx(-50) and found.codec == "new"
    assert found.verdict == "not known" and "no value per picture" in found.interval.reason


def test_distances_of_sets_join_their_points():
    sets = {("new", "2"): {"fid": 12.5, "patches": 48}}
    points = summary.summarize(ROWS, {"new": (1, 2)}, JUDGED, sets)
    assert "fid" not in points[0].means and points[1].means["fid"] == 12.5


def test_files_say_protocol_definitions_and_reasons(found, tmp_path):
    summary_files.write(found, tmp_path)
    with (tmp_path / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 and {r["protocol"] for r in rows} == {"none"}
    assert [r["settings"] for r in rows] == 4 * ["n"] + 4 * ["j"]
    assert rows[1]["psnr"] == "27" and rows[1]["images"] == "2"
    with (tmp_path / "bd_rate.csv").open(newline="") as file:
        psnr, lpips = csv.DictReader(file)
    assert (psnr["anchor"], psnr["bd_rate_percent"], psnr["reason"]) == ("jpeg", "-50", TOO_FEW)
    assert (psnr["from"], psnr["to"], psnr["overlap"]) == ("26", "33", "1")
    assert (psnr["wins"], psnr["losses"], psnr["pictures"], psnr["of"]) == ("2", "0", "2", "2")
    assert (psnr["settings"], psnr["anchor_settings"]) == ("n", "j")
    assert psnr["worst"] == "a -50.0 %; b -50.0 %" and psnr["verdict"] == "not known"
    with (tmp_path / "picture_rates.csv").open(newline="") as file:
        alone = list(csv.DictReader(file))
    assert [(r["metric"], r["image"], r["bd_rate_percent"]) for r in alone] == [
        ("psnr", "a", "-50"),
        ("psnr", "b", "-50"),
        ("lpips_alex", "a", ""),
        ("lpips_alex", "b", ""),
    ]
    assert lpips["bd_rate_percent"] == "" and "monotone" in lpips["reason"]
    kept = json.loads((tmp_path / "summary.json").read_text())
    assert kept["protocol_description"] == "images as they are"
    assert "mean of decibels" in kept["definitions"]["psnr"]
    assert "lower is better" in kept["definitions"]["lpips_alex"]
    assert kept["codecs"] == {"new": "n", "jpeg": "j"} and kept["notes"] == ["a note"]
    assert kept["points"][1]["psnr"] == 27


def test_points_that_lack_images_are_named():
    rows = {key: r for key, r in ROWS.items() if key != ("b", "new", "2")}
    points = summary.summarize(rows, {"new": (1, 2)}, JUDGED, {})
    assert summary.check_complete(points, 2) == ["new at quality 2 has 1 of 2 images"]


def test_rates_are_printed_with_their_intervals_and_the_worst_pictures(found, capsys):
    printed_tables.print_summary(found, "out")
    text = capsys.readouterr().out.split("Bjontegaard rates")[1]
    assert "-50.0 %" in text and "2 pictures; an interval takes 5" in text
    assert "a -50 %, b -50 %" in text and "not monotone in rate" in text


def test_figures_of_pictures_that_a_codec_was_tuned_on_are_marked(found, tmp_path, capsys):
    marked = dataclasses.replace(found, tuned=("new",))
    summary_files.write(marked, tmp_path)
    kept = json.loads((tmp_path / "summary.json").read_text())
    assert kept["tuned"] == ["new"]
    assert kept["notes"][0] == "new was tuned on pictures of none: its figures here do not count"
    with (tmp_path / "summary.csv").open(newline="") as file:
        notes = {row["codec"]: row["notes"] for row in csv.DictReader(file)}
    assert notes == {"new": "tuned on these", "jpeg": ""}
    printed_tables.print_summary(marked, "out")
    text = capsys.readouterr().out
    assert "new (tuned on these)" in text and "jpeg (tuned on" not in text
    assert "Note: new was tuned on pictures of none" in text
