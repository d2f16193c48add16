"""Several files on one command line, and the rule that no input is ever written over."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from diffcomp import cli
from diffcomp.commands.compress import DIRECTION
from diffcomp.files.atomic_file import FileError
from diffcomp.files.file_jobs import FileJob, plan_jobs

MODEL = ("--model", str(Path(__file__).parent / "golden" / "tiny_model"))


def plan(*paths, **options):
    return plan_jobs(paths, DIRECTION, **options).jobs


@pytest.fixture
def folder(tmp_path, photo, monkeypatch):
    """a.png and b.png of different pixels, and the folder as the current one."""
    Image.fromarray(photo[:40, :50]).save(tmp_path / "a.png")
    Image.fromarray(photo[10:50, 20:80]).save(tmp_path / "b.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a.png"], [("a.png", "a.dfc")]),
        (["a.png", "x.dfc"], [("a.png", "x.dfc")]),
        (["a.png", "-"], [("a.png", "-")]),
        (["-", "x.dfc"], [("-", "x.dfc")]),
        (["-"], [("-", "-")]),
        (["a.png", "b.png"], [("a.png", "a.dfc"), ("b.png", "b.dfc")]),
        (["a.png", "b.jpg", "c.d.webp"], [("a.png", "a.dfc"), ("b.jpg", "b.dfc"),
                                          ("c.d.webp", "c.d.dfc")]),
    ],
)  # fmt: skip
def test_what_is_an_input_and_what_an_output(paths, expected):
    assert plan(*paths) == [FileJob(Path(a), Path(b)) for a, b in expected]


def test_with_a_folder_for_outputs_all_are_inputs():
    jobs = plan("p/a.png", "q/b.png", output_dir="out")
    assert [job.output for job in jobs] == [Path("out/a.dfc"), Path("out/b.dfc")]


@pytest.mark.parametrize("paths", [["p/a.png", "q/a.png"], ["a.png", "a.jpg"], ["a.png", "a.png"]])
def test_two_inputs_of_one_output_are_refused(paths):
    with pytest.raises(FileError, match="a.dfc: would be written from .*a.png and from .*a"):
        plan(*paths, output_dir="out")


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_an_output_that_is_an_input_by_link_is_refused(folder, link, capsys):
    link(folder / "a.png", folder / "x.dfc")
    before = contents(folder)
    assert cli.main(["compress", "a.png", "x.dfc", "--force", *MODEL]) == 1
    assert "x.dfc: is the input a.png; an input is never replaced" in capsys.readouterr().err
    assert contents(folder) == before


def test_an_output_that_is_another_input_is_refused(folder):
    shutil.copy("a.png", "a.dfc")
    with pytest.raises(FileError, match="is the input"):
        plan("a.png", "b.png", "a.dfc")


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_two_photographs_are_two_inputs_and_stay_as_they_are(folder, force):
    before = contents(folder)
    assert cli.main(["compress", "a.png", "b.png", *force, *MODEL]) == 0
    after = contents(folder)
    assert set(after) == {"a.png", "b.png", "a.dfc", "b.dfc"}
    assert {name: after[name] for name in before} == before
    out = folder / "out"
    assert cli.main(["decompress", "a.dfc", "b.dfc", "--output-dir", "out", *MODEL]) == 0
    for name, size in (("a.png", (50, 40)), ("b.png", (60, 40))):
        with Image.open(out / name) as image:
            assert image.size == size


def test_nothing_is_written_where_one_name_is_wrong(folder, capsys):
    before = contents(folder)
    assert cli.main(["compress", "a.png", "out", *MODEL]) == 1
    assert capsys.readouterr().err == "diffcomp: out: No such file or directory\n"
    assert contents(folder) == before


def test_a_broken_file_among_others(folder, capsys):
    (folder / "broken.png").write_text("no picture")
    paths = ["broken.png", "a.png", "b.png"]
    assert cli.main(["compress", *paths, "--quiet", *MODEL]) == 1
    assert not list(folder.glob("*.dfc"))
    capsys.readouterr()
    assert cli.main(["compress", *paths, "--keep-going", "--quiet", *MODEL]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("diffcomp: broken.png: ")
    assert lines[1] == "diffcomp: 1 of 3 files failed"
    assert sorted(path.name for path in folder.glob("*.dfc")) == ["a.dfc", "b.dfc"]


def test_a_file_in_the_place_of_the_output_folder(folder, capsys):
    assert cli.main(["compress", "a.png", "--output-dir", "b.png", *MODEL]) == 1
    assert capsys.readouterr().err == "diffcomp: b.png: File exists\n"


def test_outputs_that_exist_stop_the_command_before_any_work(folder, capsys):
    (folder / "b.dfc").write_bytes(b"mine")
    assert cli.main(["compress", "a.png", "b.png", *MODEL]) == 1
    assert "b.dfc: exists already" in capsys.readouterr().err
    assert not (folder / "a.dfc").exists()
