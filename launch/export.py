"""Writes a model as files: its parameters and, if asked for, programs of its networks.

    python launch/export.py WORKDIR OUT [--name=base] [--best] [--card=FILE] [--programs]
    python launch/export.py MODEL OUT --programs
    python launch/export.py FOLDER --programs [--overwrite]

Of a training run it takes the weight average of the newest checkpoint, or of the one with the best
validation score; OUT is a folder that `diffcomp.load` reads. MODEL is a shipped model's name or the
folder of an exported one, of which OUT becomes a copy; FOLDER gets programs beside its parameters.
docs/exported_programs.md says what the programs are good for, and for how long.
"""

import json
from pathlib import Path
from typing import Any

from absl import app, flags
from absl import logging as absl_logging

from diffcomp.coding.grid import Z_STRIDE
from diffcomp.export import exported_model
from diffcomp.export.exported_model import ExportedModel
from diffcomp.export.shipped_models import MODELS, model_folder
from diffcomp.exported_programs.manifest import is_tile

_NAME = flags.DEFINE_string("name", None, "Name of the model (default: that of WORKDIR).")
_BEST = flags.DEFINE_bool("best", False, "The best checkpoint instead of the newest.")
_CARD = flags.DEFINE_string("card", None, "JSON file with the model's provenance.")
_PROGRAMS = flags.DEFINE_bool("programs", False, "StableHLO programs beside the parameters.")
_TILES = flags.DEFINE_list("tiles", ["256", "512"], "Sides of their fixed tiles, pixels.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace programs that are there.")


def main(argv: list[str]) -> None:
    if not 2 <= len(argv) <= 3:
        raise app.UsageError("Give what to export and the folder to write.")
    absl_logging.set_verbosity(absl_logging.WARNING)  # or the checkpoint library logs pages
    try:
        _export(argv[1], Path(argv[2]) if len(argv) == 3 else None)
    except (ValueError, OSError) as error:
        raise SystemExit(f"export: {error}") from error


def _export(source: str, out: Path | None) -> None:
    run = _run_config(source)
    _check_flags(source, run, out)
    tiles = _tiles()
    if out is not None:
        exported_model.check_target(out)  # before long work
    if run is not None and out is not None:
        model = _trained(source, run)
    else:
        model = exported_model.load(model_folder(source))
    if out is not None:
        exported_model.save(model, out)
    else:
        out = model_folder(source)
    print(f"{out}: model {model.name}, fingerprint {model.coder.fingerprint:08x}")
    if _PROGRAMS.value:
        _write_programs(model, out, tiles)


def _check_flags(source: str, run: str | None, out: Path | None) -> None:
    """Raises ValueError for flags that do not fit what is exported."""
    if run is None and (_NAME.value or _BEST.value or _CARD.value):
        raise ValueError(f"{source} is no training run: --name, --best and --card are of one.")
    if run is None and not _PROGRAMS.value:
        raise ValueError(f"{source} is no training run; of a model only --programs can be made.")
    if run is not None and out is None:
        raise ValueError(f"{source} is a training run: give the folder to write, after it.")
    if out is None and MODELS in model_folder(source).resolve().parents:
        raise ValueError(f"{source} is a shipped model: give the folder to write, after it.")


def _run_config(source: str) -> str | None:
    """The text of a run's configuration; None if the source is no run."""
    folder: Any = Path(source)
    if "://" in source:
        from etils import epath  # so that a model can be exported without what training needs

        folder = epath.Path(source)
    file = folder / "config.json"
    return file.read_text() if file.exists() else None


def _tiles() -> list[int]:
    tiles = [int(tile) if tile.isdecimal() else 0 for tile in _TILES.value]
    if len(set(tiles)) != len(tiles) or not all(map(is_tile, tiles)):
        raise ValueError(
            f"--tiles is {','.join(_TILES.value)}; it must be multiples of {Z_STRIDE}, each once."
        )
    return tiles


def _trained(source: str, run: str) -> ExportedModel:
    from etils import epath

    from diffcomp.config import from_mapping
    from diffcomp.training.config import Config
    from diffcomp.training.train_loop import restore_average

    workdir, config = epath.Path(source), from_mapping(Config, json.loads(run))
    position, params = restore_average(config, workdir, best=_BEST.value)
    card = json.loads(Path(_CARD.value).read_text()) if _CARD.value else {}
    card |= {"stage": config.stages[position.stage].name, "step": position.step}
    origin = None
    if config.train.init:
        origin = exported_model.load(model_folder(config.train.init))
    return exported_model.export(
        _NAME.value or workdir.name, config.model, params, card, config.decode, origin=origin
    )


def _write_programs(model: ExportedModel, out: Path, tiles: list[int]) -> None:
    from diffcomp.exported_programs import writing

    manifest = writing.write(model, out, tiles, _OVERWRITE.value)
    size = sum(program.bytes for program in manifest.programs)
    print(
        f"{out / writing.FOLDER}: {len(manifest.programs)} programs, {size} bytes, for"
        f" {', '.join(manifest.platforms)}; releases of jaxlib from {manifest.readable_from} to"
        f" {manifest.readable_until} are promised to read them"
    )
    if not manifest.any_size:
        print(f"none of any size: {manifest.any_size_fault}")


if __name__ == "__main__":
    app.run(main)
