"""Where arrays live: one mesh of all devices of all hosts, and rules from parameters to its axes.

The mesh has two axes. Both share out the rows of a batch; `fsdp` also shares out parameters, their
averages and the optimiser's moments, so that a device keeps 1 / fsdp of them (fully sharded data
parallelism). From one device to many hosts the code is the same; only the mesh's shape differs.
"""

import math
import os
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils, multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from diffcomp.training.config import MeshConfig

AXES = ("data", "fsdp")

# (pattern of a parameter's path, the axes of it that may be shared out, by preference). The first
# pattern that is found decides, the first axis that `fsdp` divides is taken. Nothing else is
# worth the communication: biases, gains and the prior are a hundredth of the bytes.
RULES: tuple[tuple[str, tuple[int, ...]], ...] = (
    (r"/(kernel|qkv|out)$", (-1, -2)),  # output channels, else input channels
    (r"/basis$", (-1, -2)),
    (r"/log2_gain$", (-1,)),
    (r"", ()),
)

# Variables that tell each process of its place among several, where JAX can find it by itself.
_CLUSTERS = ("JAX_COORDINATOR_ADDRESS", "COORDINATOR_ADDRESS", "MEGASCALE_COORDINATOR_ADDRESS")
_COUNTS = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")


def initialize_processes() -> None:
    """Joins the other processes of the run, if the environment says that there are any.

    On TPU pods, under Slurm, Open MPI or Kubernetes JAX finds its peers itself. Elsewhere
    JAX_COORDINATOR_ADDRESS (host:port), JAX_NUM_PROCESSES and JAX_PROCESS_ID name them. Must be
    called before JAX is used. Raises ValueError if the first is set without the others.
    """
    environment = os.environ
    address = environment.get("JAX_COORDINATOR_ADDRESS")
    if address and not {"JAX_NUM_PROCESSES", "JAX_PROCESS_ID"} <= environment.keys():
        raise ValueError(
            f"JAX_COORDINATOR_ADDRESS is {address}; JAX_NUM_PROCESSES and JAX_PROCESS_ID must be"
            " set with it."
        )
    if address:
        jax.distributed.initialize(
            address, int(environment["JAX_NUM_PROCESSES"]), int(environment["JAX_PROCESS_ID"])
        )
        return
    hosts = environment.get("TPU_WORKER_HOSTNAMES", "").split(",")
    counts = (int(environment.get(name, 1)) for name in _COUNTS)
    if len(hosts) > 1 or max(counts) > 1 or any(name in environment for name in _CLUSTERS):
        jax.distributed.initialize()


def make_mesh(config: MeshConfig) -> Mesh:
    """All devices as `data` x `fsdp`; -1 stands for what is left.

    Raises ValueError for a shape that the number of devices does not have.
    """
    devices = jax.device_count()
    shape = [config.data, config.fsdp]
    known = math.prod(side for side in shape if side != -1)
    if shape.count(-1) > 1 or min(shape) < -1 or 0 in shape:
        raise ValueError(f"mesh is {shape}; its sides are at least 1, and one of them may be -1.")
    if devices % known or (-1 not in shape and known != devices):
        raise ValueError(
            f"mesh is data={config.data} x fsdp={config.fsdp}, but there are {devices} devices."
        )
    shape = [devices // known if side == -1 else side for side in shape]
    return Mesh(mesh_utils.create_device_mesh(shape), AXES)


def replicated(mesh: Mesh) -> NamedSharding:
    """All of an array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The rows of a batch shared out over all devices."""
    return NamedSharding(mesh, PartitionSpec(AXES))


def check_batch(mesh: Mesh, batch: int, accumulate: int) -> None:
    """Raises ValueError unless each device gets the same number of rows of each micro-batch."""
    data, fsdp = mesh.devices.shape
    if accumulate < 1 or batch % (data * fsdp * accumulate):
        raise ValueError(
            f"batch is {batch}; it must be a multiple of {data * fsdp * accumulate}: {data} (data)"
            f" x {fsdp} (fsdp) devices x {accumulate} micro-batches."
        )


def parameter_spec(path: str, shape: tuple[int, ...], fsdp: int) -> PartitionSpec:
    """How the parameter at a path such as "hyperprior/analysis/basis" is shared out."""
    axes = next(axes for pattern, axes in RULES if re.search(pattern, path))
    for axis in axes if fsdp > 1 else ():
        if -axis <= len(shape) and shape[axis] % fsdp == 0:
            spec = [None] * len(shape)
            spec[axis] = "fsdp"
            return PartitionSpec(*spec)
    return PartitionSpec()


def tree_shardings(mesh: Mesh, tree: Any) -> Any:
    """A sharding for each leaf of a state: what lies under a parameter's path goes by its rule.

    `tree` holds arrays or their forms; optimiser moments have the paths of their parameters.
    """

    def of_leaf(keys: tuple, leaf: Any) -> NamedSharding:
        names = [key.key for key in keys if isinstance(key, jax.tree_util.DictKey)]
        spec = parameter_spec(names[-1], leaf.shape, mesh.shape["fsdp"]) if names else None
        return NamedSharding(mesh, spec or PartitionSpec())

    return jax.tree_util.tree_map_with_path(of_leaf, tree)


def with_shardings(mesh: Mesh, tree: Any) -> Any:
    """The forms of a tree, `jax.ShapeDtypeStruct`, with the sharding of each leaf."""
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        tree,
        tree_shardings(mesh, tree),
    )


def place(mesh: Mesh, params: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """Parameters that every process has in full -> arrays on the mesh."""
    shardings = tree_shardings(mesh, dict(params))

    def put(path: str, value: np.ndarray) -> jax.Array:
        # Copied: the first step writes over what it is given, on a CPU NumPy's own memory.
        value = np.array(value)
        return jax.make_array_from_callback(
            value.shape, shardings[path], lambda index: np.array(value[index])
        )

    return {path: put(path, value) for path, value in params.items()}


def global_batch(mesh: Mesh, rows: np.ndarray) -> jax.Array:
    """This process's rows -> the batch of all processes, shared out over the mesh."""
    return jax.make_array_from_process_local_data(batch_sharding(mesh), rows)


def agreed(value: float) -> float:
    """What the first process says: of the clock, or of a score. Every process must call it."""
    if jax.process_count() == 1:
        return value
    return float(multihost_utils.broadcast_one_to_all(np.float32(value)))


def gathered(mesh: Mesh, tree: Any) -> Any:
    """All of a tree on every host, as NumPy arrays. Every process must call it."""
    whole = jax.jit(lambda leaves: leaves, out_shardings=replicated(mesh))(tree)
    return jax.tree.map(lambda leaf: np.array(leaf.addressable_data(0)), whole)
