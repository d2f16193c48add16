"""The command from images to all of its files, with the tiny model."""

import csv
import importlib.util
import json
import os
import runpy
import shutil
import signal
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest
from child_processes import ROOT, run_launch
from PIL import Image
from tiny_model import MODEL, codec

from diffcomp import cli
from diffcomp.evaluation import pillow_codecs, set_distances
from diffcomp.evaluation.columns import definitions
from diffcomp.evaluation.evaluate import chosen_metrics
from diffcomp.evaluation.row_file import FIXED, TIMES

MODEL_OPTIONS = ("--model", str(MODEL), "--steps", "1", "--quality", "2")
QUICK = ("--model", "", "--baselines", "jpeg", "--report-images", "0", "--quiet")


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(folder, *options, images=("a.png",), out="out"):
    paths = [str(folder / name) for name in images]
    return cli.main(["evaluate", *paths, *options, "--out", str(folder / out)])


@pytest.fixture
def folder(tmp_path, evaluated):
    """The images of `evaluated`, and nothing measured yet."""
    for name in ("a.png", "b.png"):
        shutil.copy(evaluated / name, tmp_path)
    return tmp_path


def test_a_row_per_image_codec_and_quality(evaluated):
    rows = read(evaluated / "report" / "rows.csv")
    name = codec().model.name
    ladders = {name: "2468", f"{name} r=0": "2468"}
    keys = [(c, q) for c, qualities in ladders.items() for q in qualities]
    keys += [("jpeg", q) for q in ("5", "10", "20", "35", "60")]
    keys += [("webp", q) for q in ("5", "30", "60", "90")]
    expected = {(image, *key) for image in "ab" for key in keys}
    assert {(r["image"], r["codec"], r["quality"]) for r in rows} == expected
    assert tuple(rows[0]) == (*FIXED, "psnr", "lpips_alex", "lpips_vgg", *TIMES, "pixels_crc")
    assert all(all(row.values()) for row in rows)
    sizes = {r["image"]: (r["width"], r["height"]) for r in rows}
    assert sizes == {"a": ("101", "75"), "b": ("120", "64")}


def test_a_row_can_be_had_again_from_the_kept_file(evaluated):
    (row,) = [
        r
        for r in read(evaluated / "report" / "rows.csv")
        if (r["image"], r["codec"], r["quality"]) == ("a", "jpeg", "20")
    ]
    path = evaluated / "report" / "streams" / "jpeg" / "q20" / "a.jpg"
    assert path.stat().st_size == int(row["bytes"])
    with Image.open(path) as decoded, Image.open(evaluated / "a.png") as original:
        difference = np.asarray(decoded, float) - np.asarray(original, float)
    assert float(row["psnr"]) == pytest.approx(10 * np.log10(255**2 / np.mean(difference**2)))


def test_all_outputs_name_the_protocol_and_what_they_lack(evaluated):
    out = evaluated / "report"
    kept = json.loads((out / "summary.json").read_text())
    assert kept["protocol"] == "kodak"
    assert {rate["anchor"] for rate in kept["bd_rates"]} == {"jpeg"}
    assert kept["notes"] == [
        "2 of the 24 images of protocol kodak: figures of all of them will differ"
    ]
    for name in ("rows.csv", "summary.csv", "bd_rate.csv"):
        assert {row["protocol"] for row in read(out / name)} == {"kodak"}
    assert json.loads((out / "settings.json").read_text())["protocol"] == "kodak"
    rates = {(r["metric"], r["codec"]): r for r in read(out / "bd_rate.csv")}
    psnr = rates["psnr", "webp"]
    assert psnr["bd_rate_percent"] and psnr["reason"] == "2 pictures; an interval takes 5"
    assert int(psnr["wins"]) + int(psnr["losses"]) == 2
    assert {path.name for path in (out / "plots").iterdir()} == {
        f"{name}.{kind}" for name in ("psnr", "lpips_alex", "lpips_vgg") for kind in ("png", "svg")
    }


def test_the_table_is_printed(folder, capsys):
    (folder / "c.heic").write_bytes(b"")
    options = ("--model", "", "--baselines", "jpeg=9/50", "--metrics", "psnr")
    assert run(folder, *options, images=("",)) == 0
    out = capsys.readouterr().out
    assert "protocol none: images as they are" in out and "PSNR (dB)" in out
    assert len([line for line in out.splitlines() if "│ jpeg" in line]) == 2
    assert "jpeg: JPEG by pillow" in out
    assert "not measured: 1 .heic; name a file to have it measured" in " ".join(out.split())
    assert f"Report: {folder / 'out' / 'report.html'}" in out


def test_a_metric_can_have_an_anchor_of_its_own(folder):
    options = ("--baselines", "jpeg,webp", "--metrics", "psnr,ssim")
    assert run(folder, *QUICK, *options, "--anchor", "webp,ssim=jpeg") == 0
    rates = read(folder / "out" / "bd_rate.csv")
    assert [(r["metric"], r["codec"], r["anchor"]) for r in rates] == [
        ("psnr", "jpeg", "webp"),
        ("ssim", "webp", "jpeg"),
    ]


def test_sigint_leaves_rows_that_a_second_run_completes(folder, capsys, monkeypatch):
    save = pillow_codecs._save

    def slow(*args):
        time.sleep(0.1)
        return save(*args)

    monkeypatch.setattr(pillow_codecs, "_save", slow)
    rows, done = folder / "out" / "rows.csv", threading.Event()

    def interrupt():
        while not (rows.exists() and rows.read_bytes().count(b"\n") > 2):
            time.sleep(0.01)
        if not done.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    # Processes that only run tests, beside others, ignore the signal.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    try:
        code = run(folder, *QUICK, "--workers", "1", images=("a.png", "b.png"))
    finally:
        done.set()
        watcher.join()
        signal.signal(signal.SIGINT, handler)
    assert code == 130
    error = capsys.readouterr().err
    assert "rows in" in error and "the same command continues" in error
    assert error.endswith("diffcomp: interrupted\n")
    before = read(rows)
    assert 2 <= len(before) < 10 and all(row["lpips_alex"] for row in before)
    assert run(folder, *QUICK, images=("a.png", "b.png")) == 0
    after = read(rows)
    assert after[: len(before)] == before and len(after) == 10


def test_a_changed_setting_is_noticed(folder, capsys):
    assert run(folder, *QUICK, "--metrics", "psnr") == 0
    assert run(folder, *QUICK, "--metrics", "lpips_alex") == 1
    assert (
        "metrics were psnr, are lpips_alex, lpips_vgg; choose another --out"
        in capsys.readouterr().err
    )
    shutil.copy(folder / "b.png", folder / "a.png")
    assert run(folder, *QUICK, "--metrics", "psnr") == 1
    assert "image a was another picture" in capsys.readouterr().err
    assert run(folder, *QUICK, "--metrics", "psnr", "--restart") == 0
    assert {row["width"] for row in read(folder / "out" / "rows.csv")} == {"120"}


def test_only_the_images_of_this_run_are_summarised(folder):
    assert run(folder, *QUICK, images=("a.png", "b.png")) == 0
    assert run(folder, *QUICK, images=("b.png",)) == 0
    assert {row["images"] for row in read(folder / "out" / "summary.csv")} == {"1"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--protocol", "kodac"], "protocol is 'kodac'; it must be one of: none, kodak"),
        (["--metrics", "psnr,sim"], "metric is 'sim'; it must be one of: all, psnr"),
        (["--baselines", "jepg"], "baseline is 'jepg'; it must be one of: jpeg"),
        (["--baselines", "vtm"], "Baseline vtm needs the program EncoderApp on the PATH"),
        (["--baselines", "jpeg,jpeg"], "Two codecs are called 'jpeg'"),
        (["--baselines", "", "--model", ""], "Neither a model nor a baseline is given"),
        (["--model", "vast"], "vast is neither a folder nor a shipped model"),
        ([*MODEL_OPTIONS, "--quality", "2,x"], "--quality is '2,x'; it must be numbers with comm"),
        ([*MODEL_OPTIONS, "--quality", "9"], "quality is 9.0; it must be in [1, 8]"),
        ([*MODEL_OPTIONS, "--realism", "3"], "realism is 3.0; it must be in [0, 1]"),
        ([*MODEL_OPTIONS, "--realism", ""], "A model needs at least one quality and one realism"),
        (["--anchor", "webp"], "anchor is 'webp'; it must be one of: jpeg"),
        (["--anchor", "psnr=webp"], "anchor is 'webp'; it must be one of: jpeg"),
        (["--anchor", "ssim=jpeg"], "anchor is of metric 'ssim'; it must be one of: psnr, lpips"),
        (["--workers", "-1"], "workers is -1; it must be at least 0"),
    ],
)
def test_bad_input_is_one_clear_line_and_no_output(folder, options, text, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    looks_at_files = "vtm" in options or "vast" in options
    assert run(folder, *QUICK, *options) == (1 if looks_at_files else 2)
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("diffcomp: ") and len(err.splitlines()) == 1
    assert text in err
    assert not (folder / "out").exists()


def test_missing_and_broken_images_are_one_clear_line(folder, capsys):
    assert run(folder, *QUICK, images=("absent.png",)) == 1
    assert "absent.png: no such file or folder" in capsys.readouterr().err
    (folder / "a.png").write_bytes(b"no picture")
    assert run(folder, *QUICK) == 1
    assert "a.png: is not a picture" in capsys.readouterr().err


def test_a_missing_package_names_the_extra(folder, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name)
    )
    assert run(folder, *QUICK) == 1
    assert "needs matplotlib: pip install 'diffcomp[evaluate]'" in capsys.readouterr().err


@pytest.fixture
def distances(monkeypatch):
    """A stand-in for the distances of sets: mean absolute difference, and the patches as images.

    It gives what was looked through networks.
    """
    seen = []

    def features_of(name, images, what, inception=None):
        if name == "fid" and inception is None:
            raise ValueError("fid needs the weights of Inception")
        seen.append(what)
        return [image.astype(int) for image in images]

    def distance_of_features(name, features, references):
        pairs = zip(features, references, strict=True)
        value = np.mean([np.abs(i - r).mean() for i, r in pairs])
        return types.SimpleNamespace(value=value, patches=len(features))

    module = types.ModuleType("diffcomp.evaluation.metrics.distribution_distances")
    of_vgg = {"fd_vgg": 4, "kd_vgg": 2}
    module.SET_METRICS = {"fid": types.SimpleNamespace(uses_inception=True, min_patches=1)} | {
        name: types.SimpleNamespace(uses_inception=False, min_patches=least)
        for name, least in of_vgg.items()
    }
    module.features_of, module.distance_of_features = features_of, distance_of_features
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("diffcomp.evaluation.metrics.distribution_distances", module, raising=False)
    return seen


def test_distances_of_sets_stand_in_the_summary(folder, distances):
    images = ("a.png", "b.png")
    assert run(folder, *QUICK, "--set-metrics", "fd_vgg,fid,kd_vgg", images=images) == 0
    # The originals once, each of the five qualities once, both for two distances.
    assert sorted(distances) == ["images"] * 5 + ["references"]
    rows = read(folder / "out" / "summary.csv")
    assert {row["patches"] for row in rows} == {"2"} and {row["fid"] for row in rows} == {""}
    values = [float(row["fd_vgg"]) for row in rows]
    assert values == sorted(values, reverse=True) and values[-1] > 0
    kept = json.loads((folder / "out" / "summary.json").read_text())
    assert "fid is missing: fid needs the weights of Inception" in kept["notes"]
    assert (folder / "out" / "plots" / "fd_vgg.svg").exists()


def test_distances_of_sets_are_chosen_by_the_number_of_patches(distances):
    assert set_distances.chosen(["auto"], [(512, 300), (256, 256)]) == ("kd_vgg",)
    assert set_distances.chosen(["auto"], [(512, 512)]) == ("fd_vgg", "kd_vgg")
    assert set_distances.chosen(["auto"], [(512, 512), (255, 900)]) == ()
    assert set_distances.chosen(["auto", "fid"], [(256, 256)]) == ("fid",)
    assert set_distances.chosen(["fd_vgg"], []) == ("fd_vgg",)


def test_bad_distances_of_sets_are_refused(distances):
    with pytest.raises(ValueError, match="set metric is 'fud'; it must be one of: auto, fid,"):
        set_distances.check(["fud"], "")
    with pytest.raises(FileNotFoundError, match="absent.npz: no such file"):
        set_distances.check(["fid"], "absent.npz")


def test_lpips_is_measured_by_both_networks_or_none():
    both = ["psnr", "lpips_alex", "lpips_vgg", "ssim"]
    assert chosen_metrics(["psnr", "lpips_vgg", "ssim"]) == both
    assert chosen_metrics(["dists", "psnr"]) == ["dists", "psnr"]


def test_definitions_say_which_variant_a_metric_is():
    texts = definitions(["psnr", "ms_ssim", "lpips_alex", "lpips_vgg", "dists"], ["kd_vgg"], 1)
    assert "odd side's last row is doubled" in texts["ms_ssim"]
    assert "scaled to [-1, 1]" in texts["lpips_alex"] and "version 0.1" in texts["lpips_vgg"]
    assert "without the authors' resizing" in texts["dists"]


def test_the_launcher_reads_a_config(folder, monkeypatch, capsys):
    root = Path(__file__).resolve().parents[1]
    config = runpy.run_path(str(root / "configs" / "evaluate_kodak.py"))["get_config"]("smoke")
    config.update(images=(str(folder / "a.png"),), models=(), out=str(folder / "out"))
    launch = runpy.run_path(str(root / "launch" / "evaluate.py"))
    names = launch["main"].__globals__
    monkeypatch.setitem(names, "_CONFIG", types.SimpleNamespace(value=config))
    monkeypatch.setitem(names, "_RESTART", types.SimpleNamespace(value=False))
    launch["main"](["evaluate.py"])
    assert "protocol kodak" in capsys.readouterr().out
    assert len(read(folder / "out" / "rows.csv")) == 5


def test_a_fault_in_a_configurations_file_shows_where_it_is(tmp_path):
    file = tmp_path / "faulty.py"
    file.write_text(
        "from ml_collections import ConfigDict\n"
        "def get_config():\n"
        "    return ConfigDict({}).lock().out\n"
    )
    done = run_launch("evaluate.py", f"--config={file}", f"--config.out={tmp_path / 'out'}")
    assert done.returncode == 1
    assert "line 3, in get_config" in done.stderr


@pytest.mark.parametrize(
    ("wrong", "code", "line"),
    [
        ("metrics=('psnrr',)", 2, "evaluate: metric is 'psnrr'; it must be one of: all, psnr"),
        ("baselines=", 2, "evaluate: config.baselines is ('',), with an empty name; none at all"),
        ("worker=3", 2, " --config.worker=3: 'worker' Did you mean \"workers\""),
        ("qualities[9]=3", 2, " --config.qualities[9]=3: tuple index out of range"),
        ("images=('absent.png',)", 1, "evaluate: absent.png: no such file or folder."),
    ],
)
def test_a_wrong_configuration_of_the_program_ends_in_a_line(wrong, code, line, tmp_path):
    config = f"--config={ROOT / 'configs' / 'evaluate_verdict.py'}"
    done = run_launch(
        "evaluate.py", config, f"--config.out={tmp_path / 'out'}", f"--config.{wrong}"
    )
    assert done.returncode == code
    assert line in done.stderr
    assert done.stderr.splitlines()[-1].startswith("evaluate: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
