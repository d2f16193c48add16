"""Writes a model's networks as StableHLO programs, by `jax.export`."""

import datetime
import functools
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax import export

from diffcomp import network_programs
from diffcomp.architectures.registry import architecture_of
from diffcomp.coding.grid import Y_STRIDE, Z_PER_Y, Z_STRIDE
from diffcomp.export.exported_model import ExportedModel
from diffcomp.export.shipped_models import ModelError
from diffcomp.exported_programs import jax_window
from diffcomp.exported_programs.manifest import FOLDER, FORMAT, FUNCTIONS, Manifest, ProgramFile
from diffcomp.files.atomic_file import atomic_folder
from diffcomp.params import under

PLATFORMS = ("cpu", "cuda", "tpu")
TILES = (256, 512)

Form = jax.ShapeDtypeStruct


def write(
    model: ExportedModel, directory: Path, tiles: Sequence[int] = TILES, overwrite: bool = False
) -> Manifest:
    """Writes `programs/` into the folder of the model, whole or not at all.

    tiles: sides of pictures, multiples of 64. Raises FileExistsError if there are programs and they
    are not to be replaced, ModelError if the folder is not that of an exported model.
    """
    if not (directory / "model.json").is_file():
        raise ModelError(f"{directory} is not the folder of an exported model.")
    target = directory / FOLDER
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists already; give --overwrite to replace it.")
    programs = {(f, tile): trace(model, f, tile) for tile in tiles for f in FUNCTIONS}
    fault = ""
    try:
        programs |= {(f, 0): trace(model, f, 0) for f in FUNCTIONS}
    except Exception as error:  # whatever an operation raises that needs to know a size
        fault = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    with atomic_folder(target) as built:
        files = [_write_program(built, *key, program) for key, program in programs.items()]
        manifest = _manifest(model, tiles, fault, programs, files)
        manifest.write(built)
        if target.exists():
            shutil.rmtree(target)
    return manifest


def trace(
    model: ExportedModel, function: str, tile: int, platforms: Sequence[str] = PLATFORMS
) -> export.Exported:
    """A function of `network_programs` for pictures of one size, or of any for 0."""
    program = functools.partial(getattr(network_programs, function), model.config)
    traced = export.export(jax.jit(program), platforms=platforms)
    return traced(*arguments(model, function, tile))


def arguments(model: ExportedModel, function: str, tile: int) -> tuple[Any, ...]:
    """Shapes and types of what a program takes: parameters first."""
    architecture = architecture_of(model.config)
    prefixes = architecture.encode_params if function == "encode" else architecture.decode_params
    weights = model.weights.items()
    params = {path: _form(value) for path, value in weights if under(path, prefixes)}
    height, width = (tile, tile) if tile else _any_size(Z_STRIDE)
    one = Form((), jnp.float32)
    if function == "encode":
        return params, Form((height, width, 3), jnp.uint8), one
    rows, columns = (tile // Y_STRIDE,) * 2 if tile else _any_size(Z_PER_Y)
    y_hat = Form((rows, columns, model.config.latent_channels), jnp.float32)
    if function == "context":
        return params, y_hat, one
    picture = Form((height, width, 3), jnp.float32)
    context = functools.partial(network_programs.context, model.config)
    maps = jax.eval_shape(context, params, y_hat, one)
    return params, picture, maps, (one, one, one), (one, one, one), picture


def _any_size(multiple: int) -> tuple[Any, ...]:
    """Symbols for height and width in units of which `multiple` make 64 pixels."""
    return export.symbolic_shape(f"{multiple}*a, {multiple}*b", scope=_scope())


@functools.cache
def _scope() -> export.SymbolicScope:
    """Symbols of one scope are equal if they have one name."""
    return export.SymbolicScope()


def _form(value: np.ndarray) -> Form:
    return Form(value.shape, value.dtype)


def _write_program(
    folder: Path, function: str, tile: int, exported: export.Exported
) -> ProgramFile:
    data = bytes(exported.serialize())
    entry = ProgramFile(function, tile, len(data), hashlib.sha256(data).hexdigest())
    (folder / entry.name).write_bytes(data)
    return entry


def _manifest(
    model: ExportedModel,
    tiles: Sequence[int],
    fault: str,
    programs: Mapping[tuple[str, int], export.Exported],
    files: Sequence[ProgramFile],
) -> Manifest:
    today = datetime.date.today()
    readable = jax_window.window(jaxlib.__version__, today)
    (calling_convention,) = {each.calling_convention_version for each in programs.values()}
    return Manifest(
        format=FORMAT,
        model=model.name,
        fingerprint=f"{model.coder.fingerprint:08x}",
        config=model.config,
        exported=today.isoformat(),
        jax=jax.__version__,
        jaxlib=jaxlib.__version__,
        readable_from=readable.first.isoformat(),
        readable_until=readable.last.isoformat(),
        calling_convention=calling_convention,
        platforms=PLATFORMS,
        tiles=tuple(tiles),
        any_size=not fault,
        any_size_fault=fault,
        programs=tuple(files),
    )
