"""Measures models and other codecs: python launch/evaluate.py --config=configs/evaluate_kodak.py

`--config.NAME=VALUE` overrides a field of the config. The same command again does what is missing
in `config.out`; `--restart` begins anew. Without a config file: `diffcomp evaluate`. Errors are one
line; exit code 2 is for a wrong configuration, 1 for files and work that failed.
"""

import sys

from absl import app, flags
from ml_collections import config_flags

from diffcomp import config_command
from diffcomp.commands.terminal import FAILURES, exit_code, print_error
from diffcomp.config import from_mapping
from diffcomp.evaluation.command import says_what_is_kept
from diffcomp.evaluation.evaluate import EvaluateConfig, evaluate
from diffcomp.evaluation.printed_tables import print_summary
from diffcomp.usage import usage_errors

_CONFIG = config_flags.DEFINE_config_file("config", None, "Configuration file, with :variant.")
_RESTART = flags.DEFINE_bool("restart", False, "Throw the rows in config.out away.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    try:
        with usage_errors():
            config = from_mapping(EvaluateConfig, _CONFIG.value)
        with says_what_is_kept(config.out):
            found = evaluate(config, restart=_RESTART.value)
        print_summary(found, config.out)
    except FAILURES as error:
        print_error(error, "evaluate")
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    config_command.run(main)
