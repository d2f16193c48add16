"""Trains a model: python launch/train.py --config=configs/base.py --workdir=DIR

Run again with the same workdir to continue. `--config.NAME=VALUE` overrides a field of the config,
`--config=configs/base.py:smoke` takes its smoke variant.
"""

import logging
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

from diffcomp import train_loop
from diffcomp.config import Config, from_mapping

_CONFIG = config_flags.DEFINE_config_file("config", None, "Configuration file, with :variant.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of checkpoints and metrics.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    # The console shows our own progress; the checkpoint library alone logs 20 lines per save.
    absl_logging.set_verbosity(absl_logging.WARNING)
    logging.getLogger("diffcomp").setLevel(logging.INFO)
    config = from_mapping(Config, _CONFIG.value)
    train_loop.train(config, Path(_WORKDIR.value))


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    app.run(main)
