"""Trains a model: python launch/train.py --config=configs/base.py --workdir=DIR

Run again with the same workdir to continue; it may be on a bucket (gs://...). A field of the config
is overridden by `--config.NAME=VALUE`; `--config=configs/base.py:smoke` takes its smoke variant.
On a TPU pod or a cluster, start it on every host.
"""

import logging
import sys

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

from diffcomp import config_command
from diffcomp.commands.terminal import print_error
from diffcomp.config import from_mapping
from diffcomp.data.image_sources import SourceError
from diffcomp.files.run_folder import RunFolderError
from diffcomp.training import sharding, train_loop
from diffcomp.training.config import Config
from diffcomp.usage import UsageError, usage_errors

# Short for the field that a sweep changes.
_SHORT = {"--config.lmbda": "--config.loss.lmbda", "--config.rho": "--config.loss.rho"}

_CONFIG = config_flags.DEFINE_config_file("config", None, "Configuration file, with :variant.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of checkpoints and metrics.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    # The console shows our own progress; the checkpoint library alone logs 20 lines per save.
    absl_logging.set_verbosity(absl_logging.WARNING)
    # On a full disk it would add a traceback for each array to the line that says so.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    logging.getLogger("diffcomp").setLevel(logging.INFO)
    try:
        with usage_errors():
            config = from_mapping(Config, _CONFIG.value)
        sharding.initialize_processes()
        train_loop.train(config, _WORKDIR.value)
    except (UsageError, SourceError) as error:
        print_error(error, "train")
        sys.exit(2)
    except RunFolderError as error:
        sys.exit(f"The training stopped, and goes on with the same command: {error}")


def expand(argument: str) -> str:
    """A command-line argument with the short name of a field written out."""
    name, equals, value = argument.partition("=")
    return _SHORT.get(name, name) + equals + value


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    # The flags of a config are looked up in sys.argv, whatever absl is given.
    sys.argv = [expand(argument) for argument in sys.argv]
    config_command.run(main)
