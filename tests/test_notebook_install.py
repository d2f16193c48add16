"""Tests of what installs diffcomp for the notebooks: above all, what it refuses."""

import sys
from importlib import metadata
from pathlib import Path

import pytest
from notebook_folder import ROOT, install_module

# Not importorskip: where pip has been looked for, setuptools no longer stands in for distutils, and
# TensorFlow imports that with a warning.
if not list(metadata.distributions(name="pip")):
    pytest.skip("an environment without pip", allow_module_level=True)
pytestmark = pytest.mark.colab


@pytest.fixture(scope="module")
def install():
    return install_module()


def project(folder: Path, requirement: str) -> Path:
    (folder / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
        f"[project]\nname = 'diffcomp'\nversion = '9'\ndependencies = ['{requirement}']\n"
        "[tool.setuptools]\npy-modules = []\n"
    )
    return folder


def test_numpy_is_never_changed(install, tmp_path, monkeypatch):
    monkeypatch.setattr(install, "missing", lambda extras: ["numpy<1"])
    # Nothing is fetched: setuptools is here.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")
    before = metadata.version("numpy")
    with pytest.raises(install.InstallError) as caught:
        install.install(project(tmp_path, "numpy<1"))
    text = str(caught.value)
    assert text.startswith("diffcomp cannot be installed beside jax ")
    assert f"numpy {before}" in text and "nothing was changed" in text
    assert metadata.version("numpy") == before


def test_a_failure_of_pip_is_told(install, tmp_path, monkeypatch):
    monkeypatch.setattr(install, "missing", lambda extras: ["diffcomp"])
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(install.InstallError, match="^pip failed:"):
        install.install(tmp_path / "nothing")


def test_what_is_loaded_is_held_too(install):
    held = install.held_versions()
    for name in ("jax", "jaxlib", "numpy", "flax", "pytest"):
        assert held[name] == metadata.version(name)
    assert "diffcomp" not in held


def test_an_environment_that_has_all_is_left_alone(install, monkeypatch, capsys):
    assert install.missing(()) == []
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    install.install(ROOT)
    assert capsys.readouterr().out.startswith("diffcomp 0.1.0 is installed")


def test_what_is_missing_is_named(install, monkeypatch):
    requires = ["numpy>=1", "numpy<1", "no-such-package; extra == 'train'", "other; extra == 'gpu'"]
    monkeypatch.setattr(install.metadata, "requires", lambda name: requires)
    assert install.missing(("train",)) == ["numpy<1", 'no-such-package; extra == "train"']
