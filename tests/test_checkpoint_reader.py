"""Damage, misfit, other meshes and several processes."""

import os
import shutil
import signal
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from child_processes import XLA_THREADS, reserved_address, running
from small_states import CONFIG, form, leaves_of, params, restore, save, state_at

from diffcomp.training.checkpoint import Checkpoints, Position
from diffcomp.training.checkpoint_reader import DamagedCheckpointError

PROGRAM = Path(__file__).parent / "checkpoint_process.py"


def assert_state(state, position):
    for found, value in zip(leaves_of(state), leaves_of(state_at(position)), strict=True):
        np.testing.assert_array_equal(found, value)


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    shutil.rmtree(path)
    path.mkdir()


def data_files(folder):
    return (folder / "state" / "d").iterdir()


def delete_data(folder):
    for file in data_files(folder):
        file.unlink()


def cut_data(folder):
    for file in data_files(folder):
        cut_short(file)


DAMAGES = {
    "empty folder": emptied,
    "no state": lambda folder: shutil.rmtree(folder / "state"),
    "empty state": lambda folder: emptied(folder / "state"),
    "no position": lambda folder: (folder / "position" / "metadata").unlink(),
    "position cut": lambda folder: cut_short(folder / "position" / "metadata"),
    "position of another kind": lambda folder: (folder / "position" / "metadata").write_text("[]"),
    "description cut": lambda folder: cut_short(folder / "state" / "_METADATA"),
    "description empty": lambda folder: (folder / "state" / "_METADATA").write_text(""),
    "index cut": lambda folder: cut_short(folder / "state" / "manifest.ocdbt"),
    "data deleted": delete_data,
    "data cut": cut_data,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    save(folder, Position(0, 2), Position(0, 4))
    return folder


@pytest.fixture
def copied(saved, tmp_path):
    """Checkpoints 2 and 4, to be damaged."""
    return Path(shutil.copytree(saved, tmp_path / "run"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(copied, damage, caplog):
    DAMAGES[damage](copied / "checkpoints" / "4")
    position, state = restore(copied)
    assert position == Position(0, 2)
    assert_state(state, position)
    (line,) = [r.getMessage() for r in caplog.records if r.name.startswith("diffcomp")]
    assert line.startswith("checkpoint 4 cannot be read: ")
    assert line.endswith("; going back to checkpoint 2")
    assert (copied / "checkpoints" / "4").exists()


def test_training_that_went_back_saves_over_the_damaged_checkpoint(copied):
    emptied(copied / "checkpoints" / "4")
    with closing(Checkpoints(copied, CONFIG)) as checkpoints:
        checkpoints.restore(form())
        checkpoints.save(Position(0, 3), state_at(Position(0, 3)))
        checkpoints.save(Position(0, 4), state_at(Position(0, 4)))
    position, state = restore(copied)
    assert position == Position(0, 4)
    assert_state(state, position)
    assert sorted(f.name for f in (copied / "checkpoints").iterdir()) == ["3", "4"]


def test_if_none_can_be_read_the_error_is_that_of_the_newest(copied):
    emptied(copied / "checkpoints" / "2")
    (copied / "checkpoints" / "4" / "state" / "_METADATA").unlink()
    with pytest.raises(DamagedCheckpointError, match=r"^checkpoint 4 cannot be read: .*_METADATA"):
        restore(copied)


def test_what_a_crash_left_half_written_is_no_checkpoint(copied, caplog):
    folder = copied / "checkpoints"
    (folder / "4").rename(folder / "6.orbax-checkpoint-tmp-7")
    assert restore(copied)[0] == Position(0, 2)
    assert caplog.messages == []


def test_a_misfit_is_an_error_and_never_passed_over(copied):
    """Also behind a damaged one; checkpoints 2 and 4 are of the same form."""
    like = params() | {"b": np.zeros(5)}
    with pytest.raises(
        ValueError, match=r"^checkpoint 4 does not fit the config: \w+/b of shape: \(5,\) is not"
    ):
        restore(copied, like=like)
    emptied(copied / "checkpoints" / "4")
    with pytest.raises(ValueError, match=r"^checkpoint 2 does not fit the config: "):
        restore(copied, like=like)


def checkpoint_processes(folder, *arguments, devices):
    """`checkpoint_process.py` on `folder`/run, once with each of the arguments."""
    program = [sys.executable, str(PROGRAM), str(folder / "run")]
    flag = "--xla_force_host_platform_device_count"
    environment = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {flag}={devices}",
        "NPROC": XLA_THREADS,
    }
    commands = [program + each for each in arguments]
    return running(folder / "said", commands, [environment] * len(commands))


def test_states_move_between_one_device_and_a_mesh_of_eight(tmp_path):
    save(tmp_path / "run" / "one", Position(0, 4))
    with checkpoint_processes(tmp_path, [], devices=8) as children:
        children.wait()
    position, state = restore(tmp_path / "run" / "many")
    assert position == Position(1, 7)
    assert_state(state, position)


def test_two_processes_save_restore_and_stop_together(tmp_path):
    """One of them cannot read checkpoint 4, and one is sent SIGTERM: both go back, both stop."""
    with reserved_address() as address:
        both = [[address, str(i)] for i in range(2)]
        with checkpoint_processes(tmp_path, *both, devices=2) as children:
            # Before it there may be lines of JAX's own.
            children.wait_until(lambda: all("running\n" in children.stdout(i) for i in range(2)))
            children.processes[1].send_signal(signal.SIGTERM)
            children.wait()
    said, other = (children.stdout(i).splitlines()[-1] for i in range(2))
    position, state = restore(tmp_path / "run")
    assert said == other == f"stopped at {position.step}"
    assert position.step > 2
    assert_state(state, position)
    assert "checkpoint 4 is of no use to another process" in children.stderr(0)
    assert "checkpoint 4 cannot be read: OSError: disk on fire" in children.stderr(1)
