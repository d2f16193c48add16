"""Files are the same everywhere: what other versions of the libraries wrote is read alike here."""

import json
import shutil

import golden_stacks
import golden_streams
import numpy as np
import pytest
from child_processes import run_script
from small_states import CONFIG, leaves_of, params, restore, save, state_at

from diffcomp.training.checkpoint import Checkpoints

STREAMS = json.loads(golden_streams.DIGESTS.read_text())["files"]
STACKS = sorted(path.parent for path in golden_stacks.FOLDER.glob("*/stack.json"))

pytestmark = pytest.mark.tfc


@pytest.mark.colab
@pytest.mark.parametrize("name", sorted(golden_streams.CASES.keys() - set(golden_streams.IMPORTED)))
def test_a_golden_stream_decodes_to_the_same_bits(name):
    model, _ = golden_streams.CASES[name]
    data = (golden_streams.FOLDER / name).read_bytes()
    assert golden_streams.digest(model, data) == STREAMS[name]


@pytest.mark.parametrize(
    "environment",
    [
        {"JAX_ENABLE_X64": "1", "THREADS": "1"},
        {"JAX_ENABLE_X64": "0", "THREADS": "2"},
    ],
    ids=["float64, one thread", "float32, two threads"],
)
def test_so_do_processes_with_other_settings(environment):
    threads = environment.pop("THREADS")
    limits = dict.fromkeys(("OPENBLAS", "OMP", "NUMBA"), threads)
    # All files, the imported models' too: XLA compiles as it does for users, not as for tests.
    environment["XLA_FLAGS"] = ""
    environment |= {f"{library}_NUM_THREADS": n for library, n in limits.items()}
    if threads == "1":
        environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    assert json.loads(run_script("golden_streams.py", **environment)) == STREAMS


def test_golden_images_are_compressed_to_as_many_bytes():
    """The encoder is float: another version may round a few symbols otherwise, no more."""
    for name, (model, quality) in golden_streams.CASES.items():
        data = golden_streams.codec(model).compress(golden_streams.image(), quality)
        assert abs(len(data) - STREAMS[name]["bytes"]) <= 0.005 * len(data) + 2


def test_the_stacks_are_the_newest_and_the_oldest():
    assert [folder.name for folder in STACKS] == ["newest", "oldest"]


@pytest.mark.colab
@pytest.mark.parametrize("stack", STACKS, ids=lambda folder: folder.name)
def test_a_checkpoint_of_other_versions_is_restored_and_followed(stack, tmp_path):
    shutil.copytree(stack / "checkpoints", tmp_path / "checkpoints")
    position, state = restore(tmp_path)
    assert position == golden_stacks.POSITION
    for found, expected in zip(leaves_of(state), leaves_of(state_at(position)), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    later = position._replace(step=position.step + 1)
    save(tmp_path, later)
    assert restore(tmp_path)[0] == later


@pytest.mark.parametrize("stack", STACKS, ids=lambda folder: folder.name)
def test_the_average_of_other_versions_is_restored(stack, tmp_path):
    shutil.copytree(stack / "checkpoints", tmp_path / "checkpoints")
    checkpoints = Checkpoints(tmp_path, CONFIG)
    position, average = checkpoints.restore_average(params(0.0))
    checkpoints.close()
    assert position == golden_stacks.POSITION
    for path, value in state_at(position).average.items():
        np.testing.assert_array_equal(average[path], value, err_msg=path)


@pytest.mark.colab
def test_an_exported_model_is_the_same_everywhere(tmp_path):
    found = golden_stacks.export_sha256(tmp_path / "model")
    for stack in STACKS:
        assert json.loads((stack / "stack.json").read_text())["export_sha256"] == found
