import csv

import pytest
from etils import epath

from diffcomp.files.run_folder import RunFolderError, append_rows, replace_bytes, writing


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
    with pytest.raises(RunFolderError, match=r"a\.bin cannot be written: full"):
        replace_bytes(path, b"newer")
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError("no space"), RunFolderError),
        (ValueError("no space [os_error_code='28']"), RunFolderError),
        (ValueError("stages were made shorter"), ValueError),
        (KeyError("name"), KeyError),
    ],
)
def test_faults_of_the_disk_are_told_from_others(error, kind):
    with pytest.raises(kind) as caught, writing("the folder"):
        raise error
    assert type(caught.value) is kind
    if kind is RunFolderError:
        assert str(caught.value) == f"the folder cannot be written: {error}"
