"""Measures models and other codecs: python launch/evaluate.py --config=configs/evaluate_kodak.py

`--config.NAME=VALUE` overrides a field of the config. The same command again does what is missing
in `config.out`; `--restart` begins anew. Without a config file: `diffcomp evaluate`. Errors are one
line; exit code 2 is for a wrong configuration, 1 for files and work that failed.
"""

import sys

from absl import app, flags
from ml_collections import config_flags

from diffcomp import config_command
from diffcomp.commands.terminal import FAILURES, print_error
from diffcomp.config import from_mapping
from diffcomp.evaluation.evaluate import EvaluateConfig, evaluate
from diffcomp.evaluation.printed_tables import print_summary
from diffcomp.usage import UsageError, usage_errors

_CONFIG = config_flags.DEFINE_config_file("config", None, "Configuration file, with :variant.")
_RESTART = flags.DEFINE_bool("restart", False, "Throw the rows in config.out away.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    try:
        with usage_errors():
            config = from_mapping(EvaluateConfig, _CONFIG.value)
        print_summary(evaluate(config, restart=_RESTART.value), config.out)
    except FAILURES as error:
        print_error(error, "evaluate")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        out = _CONFIG.value.out
        print(f"The rows in {out} are kept; the same command continues.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    config_command.run(main)
