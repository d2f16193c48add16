"""Disks that fill up, by a limit on the size of files: old ones stay, new are whole or absent.

`disk_trouble.py` tries whole commands on small disks, for which it must be root.
"""

import contextlib
import resource
from pathlib import Path

import pytest
import small_states
import tiny_model
from PIL import Image

from diffcomp import cli
from diffcomp.evaluation.row_file import _append
from diffcomp.files.atomic_file import FileError, write_bytes
from diffcomp.files.run_folder import RunFolderError
from diffcomp.training.checkpoint import Position

MODEL = ("--model", str(tiny_model.MODEL), "--quiet")


@contextlib.contextmanager
def largest_file(size: int):
    """Writing beyond so many bytes of a file fails, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def folder(tmp_path, monkeypatch, photo) -> Path:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("force", [False, True])
def test_an_output_that_does_not_fit(folder, capsys, force):
    assert cli.main(["compress", "photo.png", "whole.dfc", *MODEL]) == 0
    if force:
        (folder / "x.dfc").write_bytes(b"precious")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for args in (
        ["compress", "photo.png", "x.dfc", *MODEL],
        ["decompress", "whole.dfc", "x.png", *MODEL],
    ):
        with largest_file(100):
            assert cli.main([*args, "--force"] if force else args) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"diffcomp: {args[2]}: ") and line.endswith("File too large")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_row_that_does_not_fit_leaves_no_part_of_it(tmp_path):
    path = tmp_path / "rows.csv"
    _append(path, ["image", "bytes"])
    with largest_file(20), pytest.raises(FileError, match="rows.csv: "):
        _append(path, ["a" * 100, "7"])
    _append(path, ["b", "8"])
    assert path.read_text() == "image,bytes\nb,8\n"


def test_a_file_that_does_not_fit_is_not_there(tmp_path):
    with largest_file(1000), pytest.raises(FileError, match="a.dfc: File too large"):
        write_bytes(tmp_path / "a.dfc", bytes(2000))
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_does_not_fit_is_said_and_the_one_before_is_whole(tmp_path):
    first, second = Position(0, 2), Position(0, 4)
    small_states.save(tmp_path, first)
    with largest_file(100), pytest.raises(RunFolderError, match="checkpoints cannot be written: "):
        small_states.save(tmp_path, second)
    assert small_states.restore(tmp_path)[0] == first
    small_states.save(tmp_path, second)
    assert small_states.restore(tmp_path)[0] == second
