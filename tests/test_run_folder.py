import csv

import pytest
from etils import epath

from diffcomp.files.run_folder import append_rows, replace_bytes


def rows(path):
    return list(csv.reader(path.read_text().splitlines()))


def test_rows_follow_one_header(tmp_path):
    path = epath.Path(tmp_path) / "a.csv"
    append_rows(path, ("step", "name"), [(1, "a"), (2, "b,c")])
    append_rows(path, ("step", "name"), [(3, "d")])
    assert rows(path) == [["step", "name"], ["1", "a"], ["2", "b,c"], ["3", "d"]]
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_a_failure_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = epath.Path(tmp_path) / "a.bin"
    replace_bytes(path, b"old")
    monkeypatch.setattr(type(path), "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        replace_bytes(path, b"newer")
    assert path.read_bytes() == b"old"
