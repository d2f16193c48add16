"""Runs checkpoints on several devices, for the tests, alone or with a second process.

python checkpoint_process.py FOLDER                    8 devices
python checkpoint_process.py FOLDER ADDRESS PROCESS    4 devices, 2 in each of 2 processes
"""

import faulthandler
import sys
import time
from contextlib import closing
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import NamedSharding, PartitionSpec
from small_states import CONFIG, form, overwriting_step, state_at

from diffcomp.training import sharding
from diffcomp.training.checkpoint import Checkpoints, Position
from diffcomp.training.checkpoint_reader import DamagedCheckpointError

LIMIT = 400.0  # seconds


def sharding_on(mesh, leaf):
    """Divided over fsdp along the first axis, where that can be done."""
    divided = leaf.ndim > 0 and leaf.shape[0] % mesh.shape["fsdp"] == 0
    return NamedSharding(mesh, PartitionSpec(*["fsdp"][:divided]))


def sharded_state(mesh, position):
    """What `state_at` gives, made on the mesh by all processes."""
    shardings = jax.tree.map(lambda leaf: sharding_on(mesh, leaf), form()(position))
    return jax.jit(lambda: state_at(position), out_shardings=shardings)()


def sharded_form(mesh):
    def template(position):
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                leaf.shape, leaf.dtype, sharding=sharding_on(mesh, leaf)
            ),
            form()(position),
        )

    return template


def restore_on(mesh, folder):
    """Restores and checks values and shardings; returns the position."""
    with closing(Checkpoints(folder, CONFIG)) as checkpoints:
        position, state = checkpoints.restore(sharded_form(mesh))
    expected = state_at(position)
    for found, value in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
        assert found.sharding == sharding_on(mesh, value), (found.sharding, value.shape)
        for shard in found.addressable_shards:
            np.testing.assert_array_equal(shard.data, np.asarray(value)[shard.index])
    return position


def refuse_impossible(folder, sharding):
    """Shardings that do not suit the arrays are no damage: nothing is passed over."""

    def template(position):
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            form()(position),
        )

    with closing(Checkpoints(folder, CONFIG)) as checkpoints:
        try:
            checkpoints.restore(template)
        except ValueError as error:
            assert not isinstance(error, DamagedCheckpointError), error
            return
    raise AssertionError(f"restored on {sharding}")


def alone(folder):
    assert jax.device_count() == 8
    mesh = jax.make_mesh((2, 4), ("data", "fsdp"))
    assert restore_on(mesh, folder / "one") == Position(0, 4)
    for spec in (("fsdp",), (None, "fsdp")):  # b has one axis, of 4; c has none
        refuse_impossible(folder / "one", NamedSharding(mesh, PartitionSpec(*spec)))
    state = sharded_state(mesh, Position(1, 7))
    assert not state.params["b"].sharding.is_fully_replicated
    step = overwriting_step(state)
    with closing(Checkpoints(folder / "many", CONFIG)) as checkpoints:
        checkpoints.save(Position(1, 7), state)
        for _ in range(3):
            state = step(state)
        jax.block_until_ready(state)
    for shape in ((1, 8), (8, 1)):
        other = jax.make_mesh(shape, ("data", "fsdp"))
        assert restore_on(other, folder / "many") == Position(1, 7)


def one_of_two(folder, address, process):
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, num_processes=2, process_id=process)
    assert (jax.process_count(), jax.device_count()) == (2, 4)
    assert sharding.agreed(0.5 + process) == 0.5  # what the first one says
    mesh = jax.make_mesh((1, 4), ("data", "fsdp"))
    with closing(Checkpoints(folder, CONFIG)) as checkpoints:
        assert checkpoints.restore(sharded_form(mesh)) is None
        for step in (2, 4):
            position = Position(0, step)
            checkpoints.save(position, sharded_state(mesh, position), score=1 / step)
    assert restore_on(jax.make_mesh((2, 2), ("data", "fsdp")), folder) == Position(0, 4)
    if process == 1:
        fail_at_checkpoint("4")
    assert restore_on(mesh, folder) == Position(0, 2)
    stop_at_sigterm(folder, mesh)


def fail_at_checkpoint(name):
    """This process alone cannot read its arrays of a checkpoint."""
    read = ocp.PyTreeCheckpointHandler.restore

    def restore(self, directory, **kwargs):
        if directory.parent.name == name:
            raise OSError("disk on fire")
        return read(self, directory, **kwargs)

    ocp.PyTreeCheckpointHandler.restore = restore


def stop_at_sigterm(folder, mesh):
    """Goes on from the step that could be read until all processes are to stop, and saves."""
    with closing(Checkpoints(folder, CONFIG)) as checkpoints:
        position, _ = checkpoints.restore(sharded_form(mesh))
        print("running", flush=True)
        step = position.step
        while not checkpoints.reached_preemption(step):
            time.sleep(0.1)
            step += 1
        stopped = Position(0, step)
        checkpoints.save(stopped, sharded_state(mesh, stopped))
    print(f"stopped at {step}", flush=True)


if __name__ == "__main__":
    # Processes that wait for each other for ever end here, and say where they were.
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    if len(sys.argv) == 2:
        alone(Path(sys.argv[1]))
    else:
        one_of_two(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
        # Waits for the other. At the interpreter's exit JAX would close its connections first, of
        # which the other, if the machine is busy, may still be reading the last answer.
        jax.distributed.shutdown()
