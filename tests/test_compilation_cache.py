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


def test_an_empty_name_turns_it_off(config, monkeypatch) -> None:
    monkeypatch.setenv("DIFFCOMP_CACHE", "")
    compilation_cache.enable()
    assert config.jax_compilation_cache_dir is None


def test_the_programs_own_choice_is_kept(config, monkeypatch) -> None:
    monkeypatch.setenv("DIFFCOMP_CACHE", "/elsewhere")
    config.jax_compilation_cache_dir = "/chosen"
    compilation_cache.enable()
    assert config.jax_compilation_cache_dir == "/chosen"
