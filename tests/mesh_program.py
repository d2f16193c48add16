"""Three steps of the smoke configuration on a mesh, as a program: tests compare its results.

    XLA_FLAGS=--xla_force_host_platform_device_count=8 python tests/mesh_program.py OUT DATA FSDP

Writes losses, parameters, and the bytes of the state that each local device holds to OUT, an npz
file. With JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID it is one process of many;
the first one writes.
"""

import dataclasses
import runpy
import sys
from pathlib import Path

import jax
import numpy as np
from small_model import random_params

from diffcomp.config import from_mapping
from diffcomp.training import sharding
from diffcomp.training.config import Config, MeshConfig
from diffcomp.training.train_state import start_stage_on
from diffcomp.training.train_step import make_train_step

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
BATCH = 8  # rows of all devices together
STEPS = 3
# Adam divides a gradient by its own size: where that is hardly more than rounding noise, a sum in
# another order moves the step by a few per cent. At this rate they are below what tests allow.
LEARNING_RATE = 1e-4


def run(data: int, fsdp: int) -> dict[str, np.ndarray]:
    """By name: "loss", "bytes" and, under their paths, the parameters."""
    config = from_mapping(Config, runpy.run_path(str(CONFIGS / "base.py"))["get_config"]("smoke"))
    (stage,) = [s for s in config.stages if s.objective == "joint"]
    stage = dataclasses.replace(
        stage, batch=BATCH, steps=STEPS, warmup=0, learning_rate=LEARNING_RATE
    )
    mesh = sharding.make_mesh(MeshConfig(data, fsdp))
    params = sharding.place(mesh, random_params(config.model))
    state = start_stage_on(mesh, config, stage, params)
    step = make_train_step(config, stage, 0, mesh)
    rows = BATCH // jax.process_count()
    losses = []
    for i in range(STEPS):
        batch = np.random.default_rng(i).integers(0, 256, (BATCH, 64, 64, 3)).astype(np.uint8)
        own = batch[jax.process_index() * rows :][:rows]
        state, metrics = step(state, sharding.global_batch(mesh, own))
        losses.append(float(metrics["loss"]))
    held = [
        sum(leaf.addressable_shards[i].data.nbytes for leaf in jax.tree.leaves(state))
        for i in range(jax.local_device_count())
    ]
    return {"loss": np.array(losses), "bytes": np.array(held)} | sharding.gathered(
        mesh, state.params
    )


if __name__ == "__main__":
    out, data, fsdp = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sharding.initialize_processes()
    results = run(data, fsdp)
    if jax.process_index() == 0:
        np.savez(out, **results)
    # Waits for the others. At the interpreter's exit JAX would close its connections first, while
    # others, if the machine is busy, may still be reading the last answer.
    jax.distributed.shutdown()
