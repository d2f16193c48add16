"""What a killed program leaves is removed by the next; what a living one holds is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffcomp.files import temporary
from diffcomp.files.atomic_file import atomic_folder, write_bytes

ROOT = Path(__file__).resolve().parents[1]
HOLD = """
import sys
from pathlib import Path
from diffcomp.files.temporary import temporary_file, temporary_folder
with temporary_file(Path(sys.argv[1])) as file, temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_bytes(b"of it")
    print(file, folder, sep="\\n", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that is writing a file and a folder in `tmp_path`, and the two paths."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    paths = [Path(process.stdout.readline().strip()) for _ in range(2)]
    yield process, paths
    process.kill()
    process.communicate()


def test_leftovers_are_removed_once_their_program_is_dead(tmp_path, holder):
    process, paths = holder
    write_bytes(tmp_path / "a.dfc", b"ours")
    assert all(path.exists() for path in paths)
    process.kill()
    process.wait()
    temporary.remove_leftovers.cache_clear()
    write_bytes(tmp_path / "b.dfc", b"ours")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dfc", "b.dfc"]


def test_what_only_looks_like_a_leftover(tmp_path):
    """Links are not followed, pipes not waited for; other names are other people's."""
    (tmp_path / "kept").write_bytes(b"precious")
    (tmp_path / ".diffcomp-link.tmp").symlink_to(tmp_path / "kept")
    os.mkfifo(tmp_path / ".diffcomp-pipe.tmp")
    (tmp_path / "diffcomp-notes.tmp").touch()
    temporary.remove_leftovers(tmp_path)
    assert (tmp_path / "kept").read_bytes() == b"precious"
    assert (tmp_path / "diffcomp-notes.tmp").exists()
    assert (tmp_path / ".diffcomp-link.tmp").is_symlink()


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "model") as built:
        (built / "half").touch()
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with atomic_folder(tmp_path / "model") as built:
        (built / "whole").touch()
        assert not (tmp_path / "model").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "whole"]
