"""Measures models and other codecs: python launch/evaluate.py --config=configs/evaluate_kodak.py

`--config.NAME=VALUE` overrides a field of the config. The same command again does what is missing
in `config.out`; `--restart` begins anew. Without a config file: `diffcomp evaluate`.
"""

from absl import app, flags
from ml_collections import config_flags

from diffcomp.config import from_mapping
from diffcomp.evaluation.evaluate import EvaluateConfig, evaluate
from diffcomp.evaluation.printed_tables import print_summary

_CONFIG = config_flags.DEFINE_config_file("config", None, "Configuration file, with :variant.")
_RESTART = flags.DEFINE_bool("restart", False, "Throw the rows in config.out away.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    config = from_mapping(EvaluateConfig, _CONFIG.value)
    print_summary(evaluate(config, restart=_RESTART.value), config.out)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main)
