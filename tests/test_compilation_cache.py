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


def test_default_is_the_users_cache_folder(config, monkeypatch) -> None:
    monkeypatch.setattr(compilation_cache.platformdirs, "user_cache_dir", lambda app: f"/u/{app}")
    compilation_cache.enable()
    assert config.jax_compilation_cache_dir == "/u/diffcomp"
    assert config.jax_persistent_cache_min_compile_time_secs == 0.5


def test_the_environment_names_another(config, monkeypatch) -> None:
    monkeypatch.setenv("DIFFCOMP_CACHE", "/elsewhere")
    compilation_cache.enable()
    assert config.jax_compilation_cache_dir == "/elsewhere"


def test_an_empty_name_turns_it_off(config, monkeypatch) -> None:
    monkeypatch.setenv("DIFFCOMP_CACHE", "")
    compilation_cache.enable()
    assert config.jax_compilation_cache_dir is None


def test_the_programs_own_choice_is_kept(config, monkeypatch) -> None:
    monkeypatch.setenv("DIFFCOMP_CACHE", "/elsewhere")
    config.jax_compilation_cache_dir = "/chosen"
    compilation_cache.enable()
    assert config.jax_compilation_cache_dir == "/chosen"
