"""The published weights as parameters of `CdcModel`: names, and the order of axes.

A layout such as "OIhw->hwIO" reads: the published tensor has the axes output, input, row, column;
the parameter has row, column, input, output. A 1 is an axis of length one that the parameter lacks.
"""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from diffcomp.architectures.parameters import param_shapes
from diffcomp.decode_settings import DecodeConfig
from diffcomp.export.exported_model import ExportedModel, export
from diffcomp.files.torch_file import WeightsError
from diffcomp.params import Params
from diffcomp.published.config import EPSILONPARAM, XPARAM, CdcConfig
from diffcomp.published.weights import read_weights

Weights = dict[str, np.ndarray]  # by published name
Members = dict[str, tuple[str, str]]  # parameter of a module -> published suffix and layout

_CONV: Members = {"kernel": ("weight", "OIhw->hwIO"), "bias": ("bias", "O->O")}
_UP_CONV: Members = {"kernel": ("weight", "IOhw->hwIO"), "bias": ("bias", "O->O")}
_DENSE: Members = {"kernel": ("weight", "OI->IO"), "bias": ("bias", "O->O")}
_NORM: Members = {"scale": ("g", "1C11->C"), "bias": ("b", "1C11->C")}


def _within(name: str, published: str, members: Members) -> Members:
    """The members of a submodule, as seen from the module around it."""
    return {f"{name}/{k}": (f"{published}.{v}", layout) for k, (v, layout) in members.items()}


_BLOCK = (
    _within("conv1", "block1.block.0", _CONV)
    | _within("norm1", "block1.block.1", _NORM)
    | _within("time", "mlp.1", _DENSE)
    | _within("conv2", "block2.block.0", _CONV)
    | _within("norm2", "block2.block.1", _NORM)
    | _within("skip", "res_conv", _CONV)
)
_ATTENTION = _within("norm", "fn.norm", _NORM) | {
    "qkv": ("fn.fn.to_qkv.weight", "OI11->IO"),
    "out": ("fn.fn.to_out.weight", "OI11->IO"),
    "bias": ("fn.fn.to_out.bias", "O->O"),
}
_PRIOR: Members = {}
for _i in range(4):
    _PRIOR[f"matrix{_i}"] = (f"affine.{_i}.weight", "C11io->Coi")
    _PRIOR[f"bias{_i}"] = (f"affine.{_i}.bias", "C111o->Co")
    _PRIOR[f"factor{_i}"] = (f"a.{_i}", "C111o->Co")

# Number of the strided convolution in a stage of the compressor, in which the variants differ.
_NUMBER = {"x0": "1", "eps": "2"}

# (pattern of a module's path, its published prefix, its members); @ stands for that number.
_MODULES: tuple[tuple[str, str, Members], ...] = (
    (r"analysis/blocks_(\d)/", r"context_fn.enc.\1.0.", _BLOCK),
    (r"analysis/downs_(\d)/", r"context_fn.enc.\1.@.conv.", _CONV),
    (r"hyper_analysis/convs_(\d)/", r"context_fn.hyper_enc.\1.0.", _CONV),
    (r"hyper_synthesis/ups_(\d)/", r"context_fn.hyper_dec.\1.0.", _UP_CONV),
    (r"hyper_synthesis/head/", r"context_fn.hyper_dec.2.0.", _CONV),
    (r"context_decoder/blocks_(\d)/", r"context_fn.dec.\1.0.", _BLOCK),
    (r"context_decoder/ups_(\d)/", r"context_fn.dec.\1.@.conv.", _UP_CONV),
    (r"prior/", r"context_fn.prior.", _PRIOR),
    (r"(?=medians)", r"context_fn.prior.", {"medians": ("_medians", "1C11->C")}),
    (r"score_network/time_hidden/", r"denoise_fn.time_mlp.0.", _DENSE),
    (r"score_network/time_out/", r"denoise_fn.time_mlp.2.", _DENSE),
    (r"score_network/(down|up)s_(\d)/block(\d)/", r"denoise_fn.\1s.\2.\3.", _BLOCK),
    (r"score_network/(down|up)s_(\d)/attention/", r"denoise_fn.\1s.\2.2.", _ATTENTION),
    (r"score_network/downsamples_(\d)/", r"denoise_fn.downs.\1.3.conv.", _CONV),
    (r"score_network/upsamples_(\d)/", r"denoise_fn.ups.\1.3.conv.", _UP_CONV),
    (r"score_network/middle_block0/", r"denoise_fn.mid_block1.", _BLOCK),
    (r"score_network/middle_attention/", r"denoise_fn.mid_attn.", _ATTENTION),
    (r"score_network/middle_block1/", r"denoise_fn.mid_block2.", _BLOCK),
    (r"score_network/head_norm/", r"denoise_fn.final_conv.0.", _NORM),
    (r"score_network/head/", r"denoise_fn.final_conv.1.", _CONV),
)

# The parameters whose sizes tell a configuration.
_WIDTH, _CONTEXT_CHANNELS = "score_network/time_out/bias", "context_decoder/ups_3/bias"


# Steps: the paper's for x, the released test code's for the noise. Gamma: the released test code's.
DECODE = {"x0": DecodeConfig(steps=17, gamma=0.8), "eps": DecodeConfig(steps=200, gamma=0.8)}


def load_cdc(path: Path, config: CdcConfig | None = None) -> tuple[CdcConfig, Params]:
    """A published file of weights -> configuration and parameters.

    Without a configuration it is inferred. Raises WeightsError, OSError.
    """
    weights = read_weights(path)
    config = config or infer_config(weights)
    return config, to_params(weights, config)


def import_cdc(path: Path, name: str = "", config: CdcConfig | None = None) -> ExportedModel:
    """A published file of weights as an exported model; `name` defaults to the file's.

    Its weights are kept exactly; its coding part is derived here. Raises as `load_cdc`.
    """
    config, params = load_cdc(path, config)
    card = {
        "source": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "paper": "Yang and Mandt, Lossy Image Compression with Conditional Diffusion Models",
        "licence": "that of the file",
    }
    decode = DECODE[config.prediction]
    return export(name or path.stem, config, params, card, decode, exact=True)


def infer_config(weights: Weights) -> CdcConfig:
    """The variant and the sizes that the weights are of; the variants differ in some names.

    Raises WeightsError for weights of neither.
    """
    marks = []
    for variant in (XPARAM, EPSILONPARAM):
        names = [published_name(path, variant)[0] for path in (_WIDTH, _CONTEXT_CHANNELS)]
        if all(name in weights and weights[name].size for name in names):
            width, context_channels = (weights[name].size for name in names)
            return dataclasses.replace(variant, width=width, context_channels=context_channels)
        marks.append(" and ".join(names))
    raise WeightsError(
        f"these are weights of neither published variant: xparam has {marks[0]},"
        f" epsilonparam has {marks[1]}."
    )


def to_params(weights: Weights, config: CdcConfig) -> Params:
    """Published weights -> parameters of `CdcModel(config)`.

    Raises WeightsError that lists all names which are missing, surplus or of the wrong shape.
    """
    shapes = _shapes(config)
    expected = _published_shapes(shapes, config)
    found = {name: value.shape for name, value in weights.items()}
    faults = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    faults += [f"{name} is unknown" for name in sorted(found.keys() - expected.keys())]
    faults += [
        f"{name} has shape {found[name]}, not {expected[name]}"
        for name in sorted(expected.keys() & found.keys())
        if found[name] != expected[name]
    ]
    if faults:
        raise WeightsError(f"the weights do not fit the published model: {'; '.join(faults)}.")
    names = {path: published_name(path, config) for path in shapes}
    return {path: _reorder(weights[name], layout) for path, (name, layout) in names.items()}


def published_shapes(config: CdcConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every published tensor of a model of this configuration, by published name."""
    return _published_shapes(_shapes(config), config)


def _shapes(config: CdcConfig) -> dict[str, tuple[int, ...]]:
    return {path: value.shape for path, value in param_shapes(config).items()}


def _published_shapes(
    shapes: Mapping[str, tuple[int, ...]], config: CdcConfig
) -> dict[str, tuple[int, ...]]:
    result = {}
    for path, shape in shapes.items():
        name, layout = published_name(path, config)
        axes, own_axes = layout.split("->")
        sizes = dict(zip(own_axes, shape, strict=True))
        result[name] = tuple(sizes.get(axis, 1) for axis in axes)
    return result


def published_name(path: str, config: CdcConfig) -> tuple[str, str]:
    """Path of a parameter -> published name and layout; KeyError if the model has no such path."""
    for pattern, prefix, members in _MODULES:
        if match := re.match(pattern, path):
            suffix, layout = members[path[match.end() :]]
            return match.expand(prefix).replace("@", _NUMBER[config.prediction]) + suffix, layout
    raise KeyError(path)


def _reorder(value: np.ndarray, layout: str) -> np.ndarray:
    axes, own_axes = layout.split("->")
    value = value.squeeze(tuple(i for i, axis in enumerate(axes) if axis == "1"))
    kept = axes.replace("1", "")
    return np.ascontiguousarray(value.transpose([kept.index(axis) for axis in own_axes]))
