"""Folders, standard input and output, and reruns of a command that codes many files."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from diffcomp import cli, loaded_codecs
from diffcomp.coding import bitstream
from diffcomp.coding.bitstream import Container
from diffcomp.coding.file_info import file_info
from diffcomp.coding.metadata import read_metadata
from diffcomp.commands import file_jobs
from diffcomp.commands.compress import DIRECTION
from diffcomp.export import shipped_models
from diffcomp.files.atomic_file import FileError
from diffcomp.files.file_jobs import plan_jobs

MODEL = ("--model", str(Path(__file__).parent / "golden" / "tiny_model"), "--quiet")


@pytest.fixture
def folder(tmp_path, photo, monkeypatch):
    """p/a.png, p/b.JPG, p/q/a.png, what is no picture, and what is hidden."""
    (tmp_path / "p/q").mkdir(parents=True)
    (tmp_path / "p/.hidden").mkdir()
    for name in ("p/a.png", "p/b.JPG", "p/q/a.png", "p/.c.png", "p/.hidden/d.png"):
        Image.fromarray(photo[:40, : 40 + len(name)]).save(tmp_path / name)
    (tmp_path / "p/notes.txt").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def coded(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.dfc"))


def test_a_folder_is_its_pictures(folder, capsys):
    plan = plan_jobs(["p"], DIRECTION)
    assert [str(job.output) for job in plan.jobs] == ["p/a.dfc", "p/b.dfc"]
    assert plan.left_out == 1
    deeper = plan_jobs(["p"], DIRECTION, "out", recursive=True).jobs
    assert [str(job.output) for job in deeper] == ["out/a.dfc", "out/b.dfc", "out/q/a.dfc"]


def test_a_folder_and_back_keeps_its_structure(folder):
    assert cli.main(["compress", "p", "-r", "-o", "bits/deep", *MODEL]) == 0
    assert coded(folder) == ["bits/deep/a.dfc", "bits/deep/b.dfc", "bits/deep/q/a.dfc"]
    args = ["decompress", "bits", "-r", "-o", "back", "--suffix", "webp", "-j", "3", *MODEL]
    assert cli.main(args) == 0
    for name, stem in (("a.png", "a"), ("b.JPG", "b"), ("q/a.png", "q/a")):
        with Image.open(f"back/deep/{stem}.webp") as after, Image.open(f"p/{name}") as before:
            assert after.size == before.size


@pytest.mark.parametrize("threads", ["1", "4"])
def test_every_file_of_many_is_what_it_is_alone(folder, threads):
    assert cli.main(["compress", "p", "-r", "-o", "all", "-j", threads, *MODEL]) == 0
    for name, stem in (("a.png", "a"), ("b.JPG", "b"), ("q/a.png", "q/a")):
        assert cli.main(["compress", f"p/{name}", f"{threads}.dfc", "--force", *MODEL]) == 0
        assert Path(f"all/{stem}.dfc").read_bytes() == Path(f"{threads}.dfc").read_bytes()


def test_what_is_done_is_skipped(folder, capsys):
    Path("p/a.dfc").write_bytes(b"done")
    assert cli.main(["compress", "p", "--skip-existing", *MODEL[:2]]) == 0
    assert "1 of 2 are done already" in capsys.readouterr().err
    assert Path("p/a.dfc").read_bytes() == b"done"
    assert coded(folder) == ["p/a.dfc", "p/b.dfc"]
    assert cli.main(["compress", "p", "--skip-existing", *MODEL]) == 0


@pytest.mark.parametrize(
    ("code", "args", "reason"),
    [
        (2, ["compress", "p", "--force", "--skip-existing"], "exclude each other"),
        (2, ["compress", "p", "-j", "0"], "--jobs is 0; it must be 1 or more"),
        (0, ["compress", "p/.hidden"], None),
        (1, ["compress", "empty"], "empty: holds no file that ends in one of .apng"),
        (1, ["compress", "p", "x.dfc"], "p: is a folder; name the folder of outputs"),
        (1, ["compress", "-", "p"], "-: standard input is the only input"),
        (1, ["compress", "-", "-o", "out"], "-: standard input is the only input"),
        (1, ["compress", "p/a.png", "p/a.png"], "would be written from p/a.png and from p/a.png"),
        (2, ["decompress", "p", "--suffix", "dfc"], "unknown extension '.dfc'"),
        (1, ["decompress", "p"], "p: holds no file that ends in one of .dfc"),
    ],
)
def test_wrong_command_lines_say_why_and_write_nothing(folder, code, args, reason, capsys):
    (folder / "empty").mkdir()
    assert cli.main([*args, *MODEL]) == code
    if reason:
        assert reason in capsys.readouterr().err
        assert not coded(folder)


def test_links_to_folders_are_not_followed(folder):
    os.symlink(folder / "p", folder / "p/q/round")
    assert len(plan_jobs(["p"], DIRECTION, recursive=True).jobs) == 3


def test_a_folder_with_broken_files(folder, capsys):
    Path("p/broken.png").write_text("no picture")
    Path("p/zero.png").touch()
    assert cli.main(["compress", "p", "-r", "-o", "out", "--keep-going", *MODEL]) == 1
    lines = sorted(capsys.readouterr().err.splitlines())
    assert lines[0] == "diffcomp: 2 of 5 files failed"
    assert [line.split(": ")[1] for line in lines[1:]] == ["p/broken.png", "p/zero.png"]
    assert len(coded(folder)) == 3


def test_standard_input_and_output(folder):
    command = [sys.executable, "-m", "diffcomp"]
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    photograph = Path("p/a.png").read_bytes()
    run = {"capture_output": True, "check": True, "env": environment}
    bits = subprocess.run([*command, "compress", "-", *MODEL], input=photograph, **run).stdout
    assert cli.main(["compress", "p/a.png", "x.dfc", *MODEL]) == 0
    assert bits == Path("x.dfc").read_bytes()
    args = ["decompress", "-", "-", "--suffix", ".png", *MODEL]
    picture = subprocess.run([*command, *args], input=bits, **run).stdout
    assert cli.main(["decompress", "x.dfc", "x.png", *MODEL]) == 0
    with Image.open(io.BytesIO(picture)) as piped, Image.open("x.png") as written:
        np.testing.assert_array_equal(np.asarray(piped), np.asarray(written))


@pytest.mark.parametrize("keep_going", [True, False])
def test_after_a_failure_no_further_file_is_begun_unless_asked_for(folder, keep_going):
    begun = []

    def work(job):
        begun.append(job.input.name)
        if job.input.name == "a.png":
            raise FileError("broken")

    args = cli._parser().parse_args(["compress", "p", "-o", "o", "-j", "1", "--quiet"])
    args.keep_going = keep_going
    jobs = plan_jobs(["p"], DIRECTION, "o").jobs
    with pytest.raises(FileError, match="1 of 2 files failed" if keep_going else "broken"):
        file_jobs.run_jobs(args, jobs, work)
    assert begun == (["a.png", "b.JPG"] if keep_going else ["a.png"])


def test_files_of_several_shipped_models_are_told_apart(folder, monkeypatch):
    loaded = []
    monkeypatch.setattr(loaded_codecs, "codec_of", lambda model: loaded.append(model) or refuse())
    monkeypatch.setattr(shipped_models, "MODELS", Path("models"))

    def refuse():
        raise FileError("not decoded here")

    for file, model, number in (("a", "other", 7), ("b", "base", 8)):
        description = Path("models", model, "model.json")
        description.parent.mkdir(parents=True)
        description.write_text(json.dumps({"name": model, "fingerprint": f"{number:08x}"}))
        container = Container(number, 64, 64, 96, 0, b"z", b"y")
        Path(f"{file}.dfc").write_bytes(bitstream.pack(container))
    assert cli.main(["decompress", "a.dfc", "b.dfc", "--keep-going", "-j", "1"]) == 1
    assert loaded == ["other", "base"]


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_is_stopped_leaves_whole_files_and_goes_on(folder, photo, kill):
    Image.fromarray(photo).save("p/q/000.png")
    for i in range(1, 300):
        os.link("p/q/000.png", f"p/q/{i:03d}.png")
    if signal.getsignal(kill) == signal.SIG_IGN:
        pytest.skip("SIGINT is ignored, as by all that a shell starts in its background")
    command = [sys.executable, "-m", "diffcomp", "compress", "p", "-r", "-o", "out", *MODEL]
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while len(coded(folder)) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(kill)
    errors = process.communicate(timeout=60)[1]
    if kill == signal.SIGINT:
        assert (process.returncode, errors) == (130, "diffcomp: interrupted\n")
        assert not list(folder.rglob("*.tmp"))
    before = {path: Path(path).read_bytes() for path in coded(folder)}
    assert 3 <= len(before) < 303
    for data in before.values():
        file_info(data)  # raises for a file that is not whole
    assert cli.main(["compress", "p", "-r", "-o", "out", "--skip-existing", *MODEL]) == 0
    assert len(coded(folder)) == 303
    assert {path: Path(path).read_bytes() for path in before} == before
    assert not list(folder.rglob("*.tmp"))


def test_metadata_is_left_out_and_said_or_carried(folder, photo, capsys):
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "A. Painter"
    Image.fromarray(photo).save("e.jpg", exif=exif)
    assert cli.main(["compress", "e.jpg", *MODEL[:2]]) == 0
    assert "e.jpg: EXIF left out; --keep-metadata carries it" in capsys.readouterr().err
    assert not read_metadata(Path("e.dfc").read_bytes())
    args = ["compress", "e.jpg", "k.dfc", "--keep-metadata", *MODEL]
    assert cli.main(args) == 0
    assert cli.main(["info", "k.dfc"]) == 0
    assert "metadata" in capsys.readouterr().out
    for name in ("k.png", "k.jpg", "k.tif", "k.webp"):
        assert cli.main(["decompress", "k.dfc", name, *MODEL]) == 0
        with Image.open(name) as image:
            assert image.getexif()[ExifTags.Base.Artist] == "A. Painter"
    assert cli.main(["decompress", "k.dfc", "k.bmp", *MODEL[:2]]) == 0
    assert "EXIF left out; the format cannot hold it" in capsys.readouterr().err
    size = len(Path("k.dfc").read_bytes())
    assert cli.main([*args[:-1], "--target-size", str(size), "--force"]) == 0
    assert len(Path("k.dfc").read_bytes()) <= size
    assert cli.main([*args[:-1], "--target-size", "9", "--force"]) == 1
    assert "the metadata alone takes" in capsys.readouterr().err


def test_larger_pictures_than_allowed_are_refused(folder, photo, capsys):
    Image.fromarray(photo).save("a.png")
    pixels = photo.shape[0] * photo.shape[1]
    assert cli.main(["compress", "a.png", "--max-pixels", str(pixels), *MODEL]) == 0
    few = ["--max-pixels", str(pixels - 1), "--force", *MODEL]
    assert cli.main(["compress", "a.png", *few]) == 1
    assert f"a.png: is too large: 128x96, {pixels} pixels, and {pixels - 1} are allowed" in (
        capsys.readouterr().err
    )
    assert cli.main(["decompress", "a.dfc", "b.png", *few]) == 1
    assert "a.dfc: the image is too large" in capsys.readouterr().err
    for wrong in ("0", str(2**28 + 1)):
        assert cli.main(["compress", "a.png", "x.dfc", "--max-pixels", wrong, *MODEL]) == 2
        assert "max_pixels must be an integer from 1 to 268435456" in capsys.readouterr().err
