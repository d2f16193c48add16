"""A trained model as files: a folder with `model.json`, `coding.npz` and `weights.npz`.

`coding.npz` holds the integers of the coding part (see `latent_coder`), made once from the floats
by `export` and never recomputed. `weights.npz` holds the other parameters; the large ones as
float16, unless a model is to keep its float32 values exactly. Both are stored uncompressed: random
bits hardly shrink, and every start would wait for them.
"""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from diffcomp.architectures.architecture import Architecture
from diffcomp.architectures.registry import AnyModelConfig, architecture_of
from diffcomp.coding.latent_coder import LatentCoder
from diffcomp.config import from_mapping, to_dict
from diffcomp.decode_settings import DecodeConfig
from diffcomp.export import model_shapes
from diffcomp.export.shipped_models import ModelError
from diffcomp.files import atomic_file
from diffcomp.files.array_archive import read_arrays
from diffcomp.files.atomic_file import atomic_folder
from diffcomp.params import Params, under

FORMAT = 1
SMALL = 4096  # arrays of fewer values are kept in float32

LONGEST_DESCRIPTION = 2**20  # bytes of model.json
LONGEST_NAME = 100
LARGEST_NUMBER = 2**20  # in a configuration; channels and steps of training are fewer


@dataclasses.dataclass(frozen=True, eq=False)
class ExportedModel:
    name: str
    config: AnyModelConfig
    weights: Params  # float32, NumPy or JAX, by path such as "hyperprior/analysis/basis"
    coder: LatentCoder  # the coding part, which the weights leave out
    decode: DecodeConfig  # of its files, unless told otherwise
    card: dict[str, Any]  # provenance: how it was trained, for how long, on what

    @property
    def architecture(self) -> Architecture:
        return architecture_of(self.config)

    @functools.cached_property
    def params(self) -> Params:
        """All that the networks have: the weights, and the coding part as floats equal to it.

        Made when asked for: who only codes images needs no floats of the coding part.
        """
        return self.weights | self.architecture.float_twin(self.coder)


def export(
    name: str,
    config: AnyModelConfig,
    params: Params,
    card: dict[str, Any],
    decode: DecodeConfig,
    *,
    exact: bool = False,
    origin: ExportedModel | None = None,
) -> ExportedModel:
    """Float parameters -> integer coding part and weights, exactly as `load` gives them.

    Large arrays are rounded to float16, unless `exact`. A model that was trained from another and
    left unchanged all that the coding part is derived from keeps that of its `origin`, so that
    either reads the other's files: derived anew, on another machine, it might differ by rounding.
    """
    architecture = architecture_of(config)
    params = {path: np.asarray(value, np.float32) for path, value in params.items()}
    kept = {p: v for p, v in params.items() if not p.startswith(architecture.coded_layers)}
    if not exact:
        kept = {path: _rounded(value) for path, value in kept.items()}
    # From the rounded ones: what is exported again after `load` must give the same coder.
    if origin is not None and _codes_alike(config, params | kept, origin):
        coder = origin.coder
    else:
        coder = architecture.derive_coder(config, params | kept)
    return ExportedModel(name, config, kept, coder, decode, card)


def _codes_alike(config: AnyModelConfig, params: Params, origin: ExportedModel) -> bool:
    return config == origin.config and all(
        np.array_equal(value, origin.params[path])
        for path, value in params.items()
        if under(path, origin.architecture.coded)
    )


def _rounded(value: np.ndarray) -> np.ndarray:
    return value if value.size < SMALL else value.astype(np.float16).astype(np.float32)


def _is_half(value: np.ndarray) -> bool:
    """Whether float16 holds the values as they are."""
    return value.size >= SMALL and np.array_equal(_rounded(value), value)


def check_target(directory: Path) -> None:
    """Raises FileExistsError if the path is in use, as `save` does, to fail before long work."""
    if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        raise FileExistsError(
            f"{directory} exists and is no empty folder; an exported model needs one of its own."
        )


def save(model: ExportedModel, directory: Path) -> None:
    """Writes the folder, whole or not at all; raises FileExistsError if the path is in use."""
    check_target(directory)
    check_name(model.name)
    model_shapes.check(model.params, model.config, directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(directory) as built:
        _write(model, built)


def _write(model: ExportedModel, directory: Path) -> None:
    weights = {
        path: value.astype(np.float16) if _is_half(value) else value
        for path, value in model.weights.items()
    }
    np.savez(directory / "weights.npz", **weights)
    np.savez(directory / "coding.npz", **model.coder.to_arrays())
    description = {
        "format": FORMAT,
        "name": model.name,
        "fingerprint": f"{model.coder.fingerprint:08x}",
        "config": to_dict(model.config),
        "shapes": model_shapes.checksum(model.config, model.params),
        "decode": to_dict(model.decode),
        "card": model.card,
    }
    (directory / "model.json").write_text(json.dumps(description, indent=1) + "\n")


def load(directory: Path, *, for_networks: bool = True) -> ExportedModel:
    """Reads a folder that `save` wrote.

    for_networks: whether the networks are to take the arrays, whose shapes are then checked;
    exported programs check what they are given themselves.

    Raises ModelError, with the reason, for a missing or damaged file, another format, a coding
    part that is not the one that `model.json` names, and weights of another configuration.
    """
    try:
        text = atomic_file.read_bytes(directory / "model.json", LONGEST_DESCRIPTION)
        description = json.loads(text)
        if description["format"] != FORMAT:
            raise ModelError(f"{directory} has format {description['format']}, not {FORMAT}.")
        name, card = description["name"], description["card"]
        check_name(name)
        fingerprint = description["fingerprint"]
        config = from_mapping(AnyModelConfig, description["config"])
        decode = from_mapping(DecodeConfig, description["decode"], "decode")
        architecture = architecture_of(config)
        coder = architecture.coder.from_arrays(read_arrays(directory / "coding.npz"))
        weights = read_arrays(directory / "weights.npz", np.float32)
        _check_numbers(config, len(weights))
        params = weights | architecture.float_twin(coder)
    except ModelError:
        raise
    # The wrong kind of JSON or NumPy value shows only when it is used, by any exception.
    except Exception as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise ModelError(f"{directory} is not a readable exported model: {reason}") from error
    if f"{coder.fingerprint:08x}" != fingerprint:
        raise ModelError(
            f"{directory}/coding.npz has fingerprint {coder.fingerprint:08x}, but model.json says"
            f" {fingerprint}: the files do not belong together."
        )
    if for_networks:
        model_shapes.check_loaded(params, config, directory, description.get("shapes"))
    return ExportedModel(name, config, weights, coder, decode, card)


def check_name(name: object) -> None:
    """Raises ModelError for what is no name of a model; folders of results are named after it."""
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= LONGEST_NAME
        or not name.isprintable()
        or name.startswith(".")
        or "/" in name
        or "\\" in name
    ):
        raise ModelError(
            f"the model's name is {name!r:.120}; it must be 1 to {LONGEST_NAME} printable"
            " characters without / and \\, the first of them no dot."
        )


def _check_numbers(config: AnyModelConfig, arrays: int) -> None:
    """Raises ModelError for networks that are out of all proportion: to trace them takes for ever.

    Each of a network's blocks has parameters of its own, so no depth, and no list, exceeds the
    number of arrays.
    """
    for name, value in to_dict(config).items():
        values = value if isinstance(value, list) else [value]
        whole = [n for n in values if isinstance(n, int)]
        most = arrays if name.endswith("_depths") else LARGEST_NUMBER
        if len(values) > arrays or any(not 0 <= n <= most for n in whole):
            raise ModelError(
                f"config.{name} is {value!r:.120}; it must be of at most {arrays} numbers from 0 to"
                f" {most}."
            )
