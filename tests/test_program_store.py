"""Programs that another process has traced already."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model

from diffcomp import program_store
from diffcomp.export import exported_model
from diffcomp.program_store import Program

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(program_store, "_folder", lambda: tmp_path)
    return tmp_path


def counted(scale=2.0):
    """What builds a function, and how often it was asked to."""
    built = []

    def build():
        built.append(scale)
        return lambda tree, x: (tree["a"] * x * scale, x)

    return build, built


ARGS = ({"a": jnp.arange(3.0)}, jnp.float32(5))


def test_a_second_process_traces_nothing_and_gets_the_same(folder):
    build, built = counted()
    first = Program(build, ("f", 3))(*ARGS)
    again = Program(build, ("f", 3))(*ARGS)
    assert built == [2.0]
    assert len(list(folder.iterdir())) == 1
    np.testing.assert_array_equal(first[0], [0, 10, 20])
    np.testing.assert_array_equal(again[0], first[0])


def test_within_a_process_it_is_traced_once(folder):
    build, built = counted()
    program = Program(build, ("f",))
    program(*ARGS)
    program(*ARGS)
    assert built == [2.0]


@pytest.mark.parametrize("what", ["identity", "code", "jax"])
def test_what_a_program_depends_on_names_it(folder, what, monkeypatch):
    Program(counted()[0], ("f",))(*ARGS)
    if what == "code":
        monkeypatch.setattr(program_store, "code_digest", lambda: "another")
    if what == "jax":
        monkeypatch.setattr(jax, "__version__", "99.0")
    build, built = counted(3.0)
    out, _ = Program(build, ("g",) if what == "identity" else ("f",))(*ARGS)
    assert built == [3.0]
    np.testing.assert_array_equal(out, [0, 15, 30])


@pytest.mark.parametrize("damage", [b"", b"x" * 10, None])
def test_a_damaged_file_is_replaced(folder, damage, caplog):
    Program(counted()[0], ("f",))(*ARGS)
    (file,) = folder.iterdir()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data) if damage is None else damage)
    build, built = counted()
    Program(build, ("f",))(*ARGS)
    assert built == [2.0]
    assert "is damaged, and is written anew" in caplog.text
    Program(build, ("f",))(*ARGS)
    assert built == [2.0]


def test_without_a_folder_all_works_and_nothing_is_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(program_store, "_folder", lambda: None)
    out, _ = Program(counted()[0], ("f",))(*ARGS)
    np.testing.assert_array_equal(out, [0, 10, 20])
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(program_store, "_folder", lambda: tmp_path / "file")
    out, _ = Program(counted()[0], ("f",))(*ARGS)
    np.testing.assert_array_equal(out, [0, 10, 20])


def test_a_warm_process_loads_no_flax(tmp_path, photo):
    """The golden model's pictures are the same, from the tracing process and from the next."""
    np.save(tmp_path / "photo.npy", photo)
    exported_model.save(tiny_model.codec().model, tmp_path / "model")
    program = (
        "import sys, zlib, numpy as np, diffcomp\n"
        f"codec = diffcomp.load(r'{tmp_path / 'model'}')\n"
        f"data = codec.compress(np.load(r'{tmp_path / 'photo.npy'}'))\n"
        "print(zlib.crc32(data), zlib.crc32(codec.decompress(data)), 'flax' in sys.modules)\n"
    )
    environment = {"JAX_PLATFORMS": "cpu", "DIFFCOMP_CACHE": str(tmp_path / "cache")}
    lines = []
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        lines.append(run.stdout.split())
    (file, picture, flax), again = lines
    assert flax == "True"
    assert again == [file, picture, "False"]
