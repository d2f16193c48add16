"""Reads the weights of FID's Inception-v3 from the file that PyTorch's users know.

Names and layout are those of the package pytorch-fid; see `inception` for the network.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffcomp.files.torch_file import WeightsError, read_tensors

_NORM_EPSILON = 1e-3

# By name of a convolution: kernel [height, width, C_in, C_out] and bias [C_out].
InceptionWeights = dict[str, tuple[jax.Array, jax.Array]]

Shape = tuple[int, int, int, int]  # of a kernel in the file: C_out, C_in, height, width


def load_inception(path: Path) -> InceptionWeights:
    """The network's weights in a file of PyTorch, its batch normalizations folded in.

    Raises:
      WeightsError: for a file that holds anything else, with the first tensor that is missing or
        has another shape.
      OSError: if the file cannot be opened.
    """
    tensors = read_tensors(path, _network_tensors)
    weights = {}
    for name, shape in convolutions().items():
        kernel = _tensor(path, tensors, f"{name}.conv.weight", shape)
        gain, offset, mean, variance = (
            _tensor(path, tensors, f"{name}.bn.{part}", shape[:1])
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        if np.any(variance < 0):
            raise WeightsError(f"{path}: {name}.bn.running_var has values below 0.")
        scale = gain / np.sqrt(variance.astype(np.float64) + _NORM_EPSILON)
        folded = (kernel * scale[:, None, None, None]).transpose(2, 3, 1, 0)
        weights[name] = tuple(
            jnp.asarray(each, jnp.float32) for each in (folded, offset - mean * scale)
        )
    return weights


def convolutions() -> dict[str, Shape]:
    """Shapes of all kernels in the file, by name of the convolution."""
    blocks = {
        "Mixed_5b": _shapes_of_35(192, 32),
        "Mixed_5c": _shapes_of_35(256, 64),
        "Mixed_5d": _shapes_of_35(288, 64),
        "Mixed_6a": {
            "branch3x3": (384, 288, 3, 3),
            "branch3x3dbl_1": (64, 288, 1, 1),
            "branch3x3dbl_2": (96, 64, 3, 3),
            "branch3x3dbl_3": (96, 96, 3, 3),
        },
        "Mixed_6b": _shapes_of_17(128),
        "Mixed_6c": _shapes_of_17(160),
        "Mixed_6d": _shapes_of_17(160),
        "Mixed_6e": _shapes_of_17(192),
        "Mixed_7a": {
            "branch3x3_1": (192, 768, 1, 1),
            "branch3x3_2": (320, 192, 3, 3),
            "branch7x7x3_1": (192, 768, 1, 1),
            "branch7x7x3_2": (192, 192, 1, 7),
            "branch7x7x3_3": (192, 192, 7, 1),
            "branch7x7x3_4": (192, 192, 3, 3),
        },
        "Mixed_7b": _shapes_of_8(1280),
        "Mixed_7c": _shapes_of_8(2048),
    }
    stem: dict[str, Shape] = {
        "Conv2d_1a_3x3": (32, 3, 3, 3),
        "Conv2d_2a_3x3": (32, 32, 3, 3),
        "Conv2d_2b_3x3": (64, 32, 3, 3),
        "Conv2d_3b_1x1": (80, 64, 1, 1),
        "Conv2d_4a_3x3": (192, 80, 3, 3),
    }
    mixed = {f"{b}.{name}": shape for b, shapes in blocks.items() for name, shape in shapes.items()}
    return stem | mixed


def _shapes_of_35(channels: int, pooled: int) -> dict[str, Shape]:
    return {
        "branch1x1": (64, channels, 1, 1),
        "branch5x5_1": (48, channels, 1, 1),
        "branch5x5_2": (64, 48, 5, 5),
        "branch3x3dbl_1": (64, channels, 1, 1),
        "branch3x3dbl_2": (96, 64, 3, 3),
        "branch3x3dbl_3": (96, 96, 3, 3),
        "branch_pool": (pooled, channels, 1, 1),
    }


def _shapes_of_17(inner: int) -> dict[str, Shape]:
    return {
        "branch1x1": (192, 768, 1, 1),
        "branch7x7_1": (inner, 768, 1, 1),
        "branch7x7_2": (inner, inner, 1, 7),
        "branch7x7_3": (192, inner, 7, 1),
        "branch7x7dbl_1": (inner, 768, 1, 1),
        "branch7x7dbl_2": (inner, inner, 7, 1),
        "branch7x7dbl_3": (inner, inner, 1, 7),
        "branch7x7dbl_4": (inner, inner, 7, 1),
        "branch7x7dbl_5": (192, inner, 1, 7),
        "branch_pool": (192, 768, 1, 1),
    }


def _shapes_of_8(channels: int) -> dict[str, Shape]:
    return {
        "branch1x1": (320, channels, 1, 1),
        "branch3x3_1": (384, channels, 1, 1),
        "branch3x3_2a": (384, 384, 1, 3),
        "branch3x3_2b": (384, 384, 3, 1),
        "branch3x3dbl_1": (448, channels, 1, 1),
        "branch3x3dbl_2": (384, 448, 3, 3),
        "branch3x3dbl_3a": (384, 384, 1, 3),
        "branch3x3dbl_3b": (384, 384, 3, 1),
        "branch_pool": (192, channels, 1, 1),
    }


def _network_tensors(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or "Conv2d_1a_3x3.conv.weight" not in content:
        raise WeightsError("it has no entry 'Conv2d_1a_3x3.conv.weight': not Inception-v3 of FID.")
    prefixes = tuple(f"{name}." for name in convolutions())
    return {
        name: tensor
        for name, tensor in content.items()
        if isinstance(name, str)
        and name.startswith(prefixes)
        and not name.endswith("num_batches_tracked")
    }


def _tensor(
    path: Path, tensors: dict[str, np.ndarray], name: str, shape: tuple[int, ...]
) -> np.ndarray:
    if name not in tensors:
        raise WeightsError(f"{path} has no tensor {name!r}.")
    if tensors[name].shape != shape:
        raise WeightsError(f"{path}: {name} has shape {tensors[name].shape}, not {shape}.")
    return tensors[name]
