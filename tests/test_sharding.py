"""Meshes of one device and of eight, of one process and of two: the same training on each."""

import os
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from child_processes import XLA_THREADS, reserved_address, running
from jax.sharding import PartitionSpec
from small_states import state_at

from diffcomp.training import sharding
from diffcomp.training.checkpoint_reader import Position
from diffcomp.training.config import MeshConfig

PROGRAM = Path(__file__).parent / "mesh_program.py"


def trained(folder, data, fsdp, devices, processes=({},)):
    """The results of `mesh_program`, run once with each of the environments beside each other."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    common = {"XLA_FLAGS": flags, "NPROC": XLA_THREADS}
    out = folder / "results.npz"
    command = [sys.executable, str(PROGRAM), str(out), str(data), str(fsdp)]
    environments = [common | process for process in processes]
    with running(folder, [command] * len(environments), environments) as children:
        children.wait()
    with np.load(out) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("mesh"), 1, 1, devices=1)


def assert_same_training(found, expected):
    assert len(expected["loss"]) == 3
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-5)
    for path, value in expected.items():
        if path != "bytes":
            np.testing.assert_allclose(found[path], value, atol=1e-5, rtol=1e-5, err_msg=path)


@pytest.mark.parametrize(
    ("data", "fsdp"),
    [
        (4, 2),
        pytest.param(8, 1, marks=pytest.mark.slow),
        pytest.param(-1, 8, marks=pytest.mark.slow),
    ],
)
def test_eight_devices_train_like_one(one_device, tmp_path, data, fsdp):
    found = trained(tmp_path, data, fsdp, devices=8)
    assert_same_training(found, one_device)
    assert len(found["bytes"]) == 8
    share = found["bytes"] / one_device["bytes"][0]
    # Small parameters stay whole on each device, and in so narrow a model they weigh something.
    assert np.all(share < 1 / fsdp + 0.1)
    assert np.all(share >= 1 / fsdp)


def test_two_processes_train_like_one(one_device, tmp_path):
    common = {"JAX_NUM_PROCESSES": "2", "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo"}
    with reserved_address() as address:
        common |= {"JAX_COORDINATOR_ADDRESS": address}
        both = [common | {"JAX_PROCESS_ID": str(i)} for i in range(2)]
        assert_same_training(trained(tmp_path, 1, 2, devices=1, processes=both), one_device)


def test_a_coordinator_without_the_number_of_processes_is_refused(monkeypatch):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "localhost:1234")
    monkeypatch.delenv("JAX_NUM_PROCESSES", raising=False)
    with pytest.raises(ValueError, match="JAX_NUM_PROCESSES and JAX_PROCESS_ID must be set with"):
        sharding.initialize_processes()


@pytest.mark.parametrize(
    ("data", "fsdp", "message"),
    [
        (3, 1, "mesh is data=3 x fsdp=1, but there are 1 devices"),
        (-1, 2, "mesh is data=-1 x fsdp=2, but there are 1 devices"),
        (-1, -1, "one of them may be -1"),
        (0, 1, "its sides are at least 1"),
    ],
)
def test_a_mesh_that_the_devices_do_not_make_is_refused(data, fsdp, message):
    with pytest.raises(ValueError, match=message):
        sharding.make_mesh(MeshConfig(data, fsdp))


@pytest.mark.parametrize(
    ("path", "shape", "spec"),
    [
        ("score_network/stem/kernel", (3, 3, 96, 64), PartitionSpec(None, None, None, "fsdp")),
        ("a/head/kernel", (7, 7, 64, 3), PartitionSpec(None, None, "fsdp", None)),
        ("a/odd/kernel", (3, 3, 5, 3), PartitionSpec()),
        ("hyperprior/analysis/basis", (768, 256), PartitionSpec(None, "fsdp")),
        ("hyperprior/log2_gain", (8, 256), PartitionSpec(None, "fsdp")),
        ("score_network/downs_0/attention/qkv", (64, 192), PartitionSpec(None, "fsdp")),
        ("score_network/stem/bias", (64,), PartitionSpec()),
    ],
)
def test_a_parameter_is_shared_out_by_the_rule_of_its_path(path, shape, spec):
    assert sharding.parameter_spec(path, shape, fsdp=8) == spec
    assert sharding.parameter_spec(path, shape, fsdp=1) == PartitionSpec()


def test_moments_and_averages_go_with_their_parameters():
    mesh = jax.sharding.AbstractMesh((2, 4), sharding.AXES)
    state = sharding.with_shardings(mesh, jax.eval_shape(lambda: state_at(Position(0, 3))))
    assert state.params["a/kernel"].shape == (8, 3)  # 8 is what fsdp divides
    (moments,) = (part for part in state.optimizer if hasattr(part, "mu"))
    for tree in (state.params, state.average, moments.mu, moments.nu):
        assert tree["a/kernel"].sharding.spec == PartitionSpec("fsdp", None)
        assert tree["a/kernel"].dtype == np.float32
    for leaf in (state.step, moments.count, state.params["b"], state.params["c"]):
        assert leaf.sharding.spec == PartitionSpec()


def test_what_is_placed_does_not_share_numpys_memory():
    mesh = sharding.make_mesh(MeshConfig(1, 1))
    value = np.zeros((64, 64), np.float32)
    placed = sharding.place(mesh, {"a/kernel": value})["a/kernel"]
    value += 1
    assert not np.any(placed)
    np.testing.assert_array_equal(sharding.gathered(mesh, placed), np.zeros((64, 64)))


def test_rows_of_a_batch_must_divide():
    mesh = sharding.make_mesh(MeshConfig(1, 1))
    sharding.check_batch(mesh, 6, 3)
    with pytest.raises(ValueError, match="batch is 6; it must be a multiple of 4"):
        sharding.check_batch(mesh, 6, 4)
    with pytest.raises(ValueError, match="x 0 micro-batches"):
        sharding.check_batch(mesh, 6, 0)
