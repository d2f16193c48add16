"""launch/compress_corpus.py on Apache Beam, in processes of its own, which are also killed."""

import contextlib
import csv
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from PIL import Image

from diffcomp.corpus.record_shards import read_records

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None,
    reason="apache-beam is not installed: pip install '.[beam]' in an environment of its own",
)

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = (sys.executable, str(ROOT / "launch" / "compress_corpus.py"))
MODEL = ("--model", str(tiny_model.MODEL))
TWO_PROCESSES = ("--", "--direct_running_mode=multi_processing", "--direct_num_workers=2")
WORKER = "apache_beam.runners.worker.sdk_worker_main"
LIMIT = 240.0  # seconds


def run(folder: Path, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*PROGRAM, *args],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def table(folder: Path) -> dict[str, dict[str, str]]:
    lines = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
    names = [line["name"] for line in lines]
    assert names == sorted(set(names))  # every picture once
    return {line["name"]: line for line in lines}


@pytest.fixture
def pictures(tmp_path, photo) -> Path:
    """200 pictures, of the same names in two folders, and three files that are none."""
    for number in range(100):
        for folder in ("one", "two"):
            path = tmp_path / "photos" / folder / f"{number:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photo[: 40 + number % 20, number % 60 :]).save(path)
    (tmp_path / "photos/one/empty.png").touch()
    (tmp_path / "photos/two/text.jpg").write_text("no picture")
    cut = (tmp_path / "photos/one/000.png").read_bytes()[:200]
    (tmp_path / "photos/two/cut.png").write_bytes(cut)
    return tmp_path


def group(leader: int) -> dict[int, str]:
    """The command lines of the living processes of a group, by process."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(state[2]) == leader and state[0] != "Z":
                found[int(entry.name)] = (entry / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@contextlib.contextmanager
def at_work(folder: Path, args: tuple[str, ...], enough: int) -> Iterator[subprocess.Popen]:
    """The program, a process group of its own, once it has written `enough` files."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*PROGRAM, *args],
            cwd=folder,
            env=environment(),
            start_new_session=True,
            stdout=log,
            stderr=log,
        )
    end = time.monotonic() + LIMIT
    try:
        while len(list(folder.glob("out/*/*.dfc"))) < enough:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end
            time.sleep(0.005)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def workers(process: subprocess.Popen) -> list[int]:
    """The worker processes of the program; a shell that started one has the same command line."""
    running = group(process.pid).items()
    return [pid for pid, text in running if text.split("\0")[1:3] == ["-m", WORKER]]


def wait_for_the_end_of(leader: int) -> None:
    end = time.monotonic() + LIMIT
    while group(leader):
        assert time.monotonic() < end, group(leader)
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped(pictures):
    args = ("photos", "out", *MODEL, "--quality=3", *TWO_PROCESSES)
    with at_work(pictures, args, enough=10) as process:
        assert len(workers(process)) == 2
    wait_for_the_end_of(process.pid)
    out = pictures / "out"
    assert not (out / "table.csv").exists()
    done = {
        path: (path.stat().st_ino, path.read_bytes())
        for path in out.glob("*/*.dfc")
        if (out / f".corpus/rows/{path.relative_to(out).with_suffix('')}.json").exists()
    }
    assert 0 < len(done) < 200

    again = run(pictures, *args)
    assert (again.returncode, again.stdout) == (1, f"{out}/table.csv: 203 pictures, 3 failed\n")
    found = table(out)
    failed = {name for name, row in found.items() if row["error"]}
    assert failed == {"one/empty.png", "two/text.jpg", "two/cut.png"}
    assert len(list(out.glob("*/*.dfc"))) == len(found) - 3 == 200
    for path, (inode, data) in done.items():  # what was done was left alone
        assert (path.stat().st_ino, path.read_bytes()) == (inode, data)
    for name in found.keys() - failed:
        data = (out / f"{name}.dfc").read_bytes()
        assert found[name]["output"] == f"{name}.dfc"
        assert found[name]["sha256"] == hashlib.sha256(data).hexdigest()
        assert int(found[name]["bytes"]) == len(data)
    for name in ("one/000.png", "two/077.png"):
        pixels = np.array(Image.open(pictures / "photos" / name))
        expected = tiny_model.codec().compress(pixels, 3)
        assert (out / f"{name}.dfc").read_bytes() == expected
    assert sorted(os.listdir(out)) == [".corpus", "one", "table.csv", "two"]
    assert not (out / ".corpus/temporary").exists()


@pytest.mark.slow
def test_a_killed_worker_ends_the_run(pictures):
    """Beam's local runner alone goes on waiting for it."""
    args = ("photos", "out", *MODEL, *TWO_PROCESSES)
    with at_work(pictures, args, enough=5) as process:
        os.kill(workers(process)[0], signal.SIGKILL)
        assert process.wait(LIMIT) == 1
        wait_for_the_end_of(process.pid)  # the other worker ends by itself
    said = (pictures / "log").read_text()
    assert "compress_corpus: Worker subprocess exited" in said
    assert not (pictures / "out/table.csv").exists()


@pytest.mark.slow
def test_there_and_back_on_one_process(tmp_path, photos):
    odd = os.fsdecode(b"caf\xe9 [1].png")  # no UTF-8, and what would be a pattern
    shutil.copy(photos / "b.png", photos / odd)
    out, back = tmp_path / "out", tmp_path / "back"
    done = run(tmp_path, str(photos), str(out), *MODEL, "--psnr")
    assert done.returncode == 0, done.stderr
    found = table(out)
    assert list(found) == ["a.png", "b.png", "caf\\udce9 [1].png", "deeper/c.png"]
    assert all(float(row["psnr"]) > 5 for row in found.values())
    done = run(tmp_path, str(out), str(back), *MODEL, "--mode=decompress", "--suffix=.ppm")
    assert done.returncode == 0, done.stderr
    for name, row in table(back).items():
        assert row["bytes"] == found[name.removesuffix(".dfc")]["bytes"]
    pixels = np.array(Image.open(back / "deeper/c.png.ppm"))
    expected = tiny_model.codec().decompress((out / "deeper/c.png.dfc").read_bytes())
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.slow
def test_shards_of_records_from_overlapping_sources(tmp_path, photos):
    """Into a folder among the pictures."""
    out = tmp_path / "out"
    args = (str(photos), str(photos / "*.png"), str(photos / "deeper"), str(out), *MODEL)
    args = (*args, "--output-format=array_record", "--shards=2")
    for _ in range(2):
        done = run(tmp_path, *args, *TWO_PROCESSES)
        assert done.returncode == 0, done.stderr
        found = table(out)
        assert list(found) == ["a.png", "b.png", "deeper/c.png"]
        for name, row in found.items():
            shard, index = row["output"].split("#")
            (data,) = read_records(str(out / shard), [int(index)])
            pixels = np.array(Image.open(photos / name))
            assert data == tiny_model.codec().compress(pixels)
            assert row["sha256"] == hashlib.sha256(data).hexdigest()
    seconds = {row["seconds"] for row in found.values()}
    records = sorted(str(path) for path in out.glob("*.array_record"))
    done = run(tmp_path, *records, str(tmp_path / "back"), *MODEL, "--mode=decompress")
    assert done.returncode == 0, done.stderr
    assert len(table(tmp_path / "back")) == 3
    assert {row["seconds"] for row in table(out).values()} == seconds


def test_a_folder_without_pictures_is_said_to_be(tmp_path):
    (tmp_path / "none").mkdir()
    done = run(tmp_path, "none", "out", *MODEL)
    assert (done.returncode, done.stdout) == (1, "")
    assert "compress_corpus: the sources hold no picture." in done.stderr
    assert "Traceback" not in done.stderr
