"""Tests of reading and writing whole files in one step."""

import errno
import os
import stat

import pytest

from diffcomp.files.atomic_file import (
    FileError,
    atomic_write,
    check_target,
    errors_name,
    read_bytes,
    write_bytes,
)


class OtherError(FileError):
    """As a module above defines for its kind of file."""


def put(path, data: bytes):
    path.write_bytes(data)
    return path


def refuse_link(source, target):
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_existing_file_needs_overwrite(tmp_path):
    path = put(tmp_path / "a.dfc", b"precious")
    for write in (
        lambda: write_bytes(path, b"new"),
        lambda: check_target(path),
    ):
        with pytest.raises(FileError, match=f"^{path}: exists already; give --force to replace"):
            write()
    assert path.read_bytes() == b"precious"
    write_bytes(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_failing_write_changes_nothing(tmp_path, overwrite, failure):
    path = tmp_path / "a.dfc"
    if overwrite:
        put(path, b"old")
    before = list(tmp_path.iterdir())
    with pytest.raises(failure), atomic_write(path, overwrite) as file:
        file.write(b"half of it")
        raise failure
    assert list(tmp_path.iterdir()) == before
    assert not overwrite or path.read_bytes() == b"old"


def test_full_disk_is_reported(tmp_path):
    path = tmp_path / "a.dfc"
    with pytest.raises(FileError, match=f"^{path}: No space left"), atomic_write(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_target_is_incomplete_under_another_name(tmp_path):
    path = tmp_path / "a.dfc"
    with atomic_write(path) as file:
        file.write(b"data")
        assert not path.exists() and len(list(tmp_path.iterdir())) == 1
    assert path.read_bytes() == b"data"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_file_made_meanwhile_is_kept(tmp_path, monkeypatch, links):
    path = tmp_path / "a.dfc"
    if not links:
        monkeypatch.setattr(os, "link", refuse_link)
    with pytest.raises(FileError, match=f"^{path}: .*--force"), atomic_write(path) as file:
        file.write(b"ours")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_file_system_without_hard_links(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", refuse_link)
    write_bytes(tmp_path / "a.dfc", b"data")
    assert (tmp_path / "a.dfc").read_bytes() == b"data"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.dfc"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(tmp_path, overwrite, umask, mode):
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "a.dfc", b"data", overwrite)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.dfc").stat().st_mode) == mode


def test_impossible_targets(tmp_path):
    with pytest.raises(FileError, match=f"the folder {tmp_path}/none does not exist"):
        write_bytes(tmp_path / "none" / "a.dfc", b"data")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(FileError, match=f"^{path}: is not a regular file"):
            write_bytes(path, b"data", overwrite=True)
    with pytest.raises(FileError, match="File name too long"):
        write_bytes(tmp_path / ("a" * 300), b"data")


def test_symbolic_link_is_kept(tmp_path):
    path, link = put(tmp_path / "a.dfc", b"old"), tmp_path / "link.dfc"
    link.symlink_to(path)
    write_bytes(link, b"new", overwrite=True)
    assert link.is_symlink() and path.read_bytes() == b"new"


def test_read_bytes(tmp_path):
    path = put(tmp_path / "a.dfc", b"12345")
    assert read_bytes(path, limit=5) == b"12345"
    with pytest.raises(FileError, match=f"^{path}: is longer than the limit of 4 bytes$"):
        read_bytes(path, limit=4)
    with pytest.raises(FileError, match=f"^{tmp_path}/none: No such file or directory$"):
        read_bytes(tmp_path / "none", limit=4)
    with pytest.raises(FileError, match=f"^{tmp_path}: Is a directory$"):
        read_bytes(tmp_path, limit=4)


def test_errors_name_the_path_and_keep_their_class(tmp_path):
    with pytest.raises(OtherError, match="^a.dfc: is odd$"), errors_name("a.dfc"):
        raise OtherError("is odd")
    with pytest.raises(OtherError, match="^a.dfc: No such file"), errors_name("a.dfc", OtherError):
        (tmp_path / "none").read_bytes()
    with pytest.raises(FileError, match="^a.dfc: no text of the system$"), errors_name("a.dfc"):
        raise OSError("no text of the system")
    with pytest.raises(KeyError), errors_name("a.dfc"):
        raise KeyError("a fault of the program")
