"""Tests of where compiled programs are kept. JAX's own configuration is left alone."""

import types

import jax
import pytest

from diffcomp import compilation_cache


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Stands for `jax.config`: no folder yet, and `update` sets attributes."""
    fake = types.SimpleNamespace(jax_compilation_cache_dir=None)
    fake.update = lambda name, value: setattr(fake, name, value)
    monkeypatch.setattr(jax, "config", fake)
    monkeypatch.delenv("DIFFCOMP_CACHE", raising=False)
    return fake


def test_default_is_the_users_cache_folder(config, monkeypatch, tmp_path) -> None:
    users = lambda app: f"{tmp_path}/{app}"  # noqa: E731
    monkeypatch.setattr(compilation_cache.platformdirs, "user_cache_dir", users)
    compilation_cache.enable()
    assert config.jax_compilation_cache_dir == f"{tmp_path}/diffcomp"
    assert config.jax_persistent_cache_min_compile_time_secs == 0.5


@pytest.mark.parametrize("folder", ["{}/new/folder", "gs://bucket/folder"])
def test_the_environment_names_another(config, monkeypatch, tmp_path, folder) -> None:
    monkeypatch.setenv("DIFFCOMP_CACHE", folder.format(tmp_path))
    compilation_cache.enable()
    assert config.jax_compilation_cache_dir == folder.format(tmp_path)


def test_what_cannot_be_written_to_is_not_used(config, monkeypatch, tmp_path, caplog) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DIFFCOMP_CACHE", str(tmp_path / "file"))
    compilation_cache.enable()
    assert config.jax_compilation_cache_dir is None
    assert "no compiled program is kept" in caplog.text


def test_a_full_disk_is_not_used(config, monkeypatch, tmp_path, caplog) -> None:
    """JAX would leave the beginning of a program there, and never replace it."""
    monkeypatch.setenv("DIFFCOMP_CACHE", str(tmp_path))
    usage = types.SimpleNamespace(free=1000)
    monkeypatch.setattr(compilation_cache.shutil, "disk_usage", lambda _: usage)
    compilation_cache.enable()
    assert config.jax_compilation_cache_dir is None
    assert "no compiled program is kept: the disk of" in caplog.text


@pytest.mark.parametrize("says", ["~/.cache/diffcomp", RuntimeError("no home")])
def test_a_user_without_a_home_has_no_cache(config, monkeypatch, says) -> None:
    def users(app: str) -> str:
        if isinstance(says, RuntimeError):
            raise says
        return says

    monkeypatch.setattr(compilation_cache.platformdirs, "user_cache_dir", users)
    compilation_cache.enable()
    assert config.jax_compilation_cache_dir is None


def test_files_that_jax_cannot_read_are_removed(config, tmp_path) -> None:
    """Of the program that the warning names, and no other."""
    config.jax_compilation_cache_dir = str(tmp_path)
    for name in ("jit_call-1234-cache", "jit_call-5678-cache", "jit_step-1234-cache", "program-1"):
        (tmp_path / name).touch()
    text = "Error %s persistent compilation cache entry for 'jit_call': ZstdError: cut off"
    compilation_cache.drop_unreadable(text % "writing")
    assert len(list(tmp_path.iterdir())) == 4
    compilation_cache.drop_unreadable(text % "reading")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jit_step-1234-cache", "program-1"]


def test_an_empty_name_turns_it_off(config, monkeypatch) -> None:
    monkeypatch.setenv("DIFFCOMP_CACHE", "")
    compilation_cache.enable()
    assert config.jax_compilation_cache_dir is None


def test_the_programs_own_choice_is_kept(config, monkeypatch) -> None:
    monkeypatch.setenv("DIFFCOMP_CACHE", "/elsewhere")
    config.jax_compilation_cache_dir = "/chosen"
    compilation_cache.enable()
    assert config.jax_compilation_cache_dir == "/chosen"
