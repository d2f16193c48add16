"""The decoder as ONNX. What converts is not among this project's packages: see the program."""

import runpy

import numpy as np
import pytest
import tiny_model
from child_processes import ROOT, run_launch

PROGRAM = str(ROOT / "launch" / "export_onnx.py")


def test_the_decoder_is_that_of_the_codec() -> None:
    """What would be converted, with the codec's file and settings."""
    codec = tiny_model.codec()
    y_hat, _, info = codec.read(tiny_model.FILE.read_bytes())
    decode = runpy.run_path(PROGRAM)["decoder"](codec.model, 2)
    padded = np.pad(y_hat, ((0, 8 - y_hat.shape[0]), (0, 8 - y_hat.shape[1]), (0, 0)), mode="edge")
    quality, realism = (np.array([value], np.float32) for value in (info.quality, 0.5))
    x_hat = np.asarray(decode(padded, quality, realism, np.zeros((128, 128, 3), np.float32)))
    found = np.clip(np.rint((x_hat[:75, :101] + 1) * 127.5), 0, 255)
    wanted = codec.decompress(tiny_model.FILE.read_bytes(), steps=2, gamma=0, realism=0.5)
    assert np.abs(found - wanted).max() <= 1


def test_what_cannot_be_written_is_said_in_a_line(tmp_path) -> None:
    out = tmp_path / "decoder.onnx"
    run = run_launch("export_onnx.py", tiny_model.MODEL, out, "--tile=100")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("export_onnx: --tile is 100; it must be")
    assert not out.exists()


def test_onnxruntime_agrees(tmp_path) -> None:
    pytest.importorskip("jax2onnx")
    pytest.importorskip("onnxruntime")
    out = tmp_path / "decoder.onnx"
    run = run_launch("export_onnx.py", tiny_model.MODEL, out, "--tile=64")
    assert run.returncode == 0, run.stderr
    assert "largest error against JAX" in run.stdout
    assert out.stat().st_size > 50_000
