"""Writes the model of a training run: python launch/export.py WORKDIR OUT [--name=base] [--best]

Takes the weight average of the newest checkpoint, or of the one with the best validation score;
OUT is a folder that `diffcomp.load` reads.
"""

import json
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging
from etils import epath

from diffcomp.config import from_mapping
from diffcomp.export import exported_model
from diffcomp.export.shipped_models import model_folder
from diffcomp.training.config import Config
from diffcomp.training.train_loop import restore_average

_NAME = flags.DEFINE_string("name", None, "Name of the model (default: that of WORKDIR).")
_BEST = flags.DEFINE_bool("best", False, "The best checkpoint instead of the newest.")
_CARD = flags.DEFINE_string("card", None, "JSON file with the model's provenance.")


def main(argv: list[str]) -> None:
    if len(argv) != 3:
        raise app.UsageError("Give the folder of the run and the folder to write.")
    absl_logging.set_verbosity(absl_logging.WARNING)  # or the checkpoint library logs pages
    workdir, out = epath.Path(argv[1]), Path(argv[2])
    config = from_mapping(Config, json.loads((workdir / "config.json").read_text()))
    position, params = restore_average(config, workdir, best=_BEST.value)
    card = json.loads(Path(_CARD.value).read_text()) if _CARD.value else {}
    card |= {"stage": config.stages[position.stage].name, "step": position.step}
    origin = None
    if config.train.init:
        origin = exported_model.load(model_folder(config.train.init))
    model = exported_model.export(
        _NAME.value or workdir.name, config.model, params, card, config.decode, origin=origin
    )
    exported_model.save(model, out)
    print(f"{out}: model {model.name}, fingerprint {model.coder.fingerprint:08x}")


if __name__ == "__main__":
    app.run(main)
