"""`diffcomp import-cdc`: weights of the published model -> exported model."""

import argparse
import runpy
from pathlib import Path

from diffcomp.commands.terminal import add_quiet, say, working


def add_parser(commands) -> None:  # noqa: ANN001
    """Adds the sub-command to argparse's sub-parsers."""
    text = "weights of the published model -> exported model"
    command = commands.add_parser("import-cdc", help=text, description=__doc__)
    command.set_defaults(run=run)
    command.add_argument("input", help="a released .pt file, xparam or epsilonparam")
    command.add_argument("output", help="folder to write, for --model")
    command.add_argument("--config", metavar="FILE", help="its configuration (default: inferred)")
    command.add_argument("--name", default="", help="name of the model (default: the file's)")
    add_quiet(command)


def run(args: argparse.Namespace) -> None:
    """Imports it; raises what `terminal.FAILURES` lists."""
    from diffcomp.export import exported_model, published_import

    output = Path(args.output)
    exported_model.check_target(output)
    config = _published_config(args.config) if args.config else None
    with working(args, f"importing {args.input}"):
        model = published_import.import_cdc(Path(args.input), args.name, config)
        exported_model.save(model, output)
    values = sum(value.size for value in model.params.values())
    say(args, f"{output}: model {model.name}, {values / 1e6:.1f} M parameters")


def _published_config(path: str):  # noqa: ANN202
    """The `model` of a configuration file; ValueError unless it is of the published networks."""
    from diffcomp.config import from_mapping
    from diffcomp.published.config import CdcConfig
    from diffcomp.training.config import Config

    config = from_mapping(Config, runpy.run_path(path)["get_config"]()).model
    if config.ARCHITECTURE != CdcConfig.ARCHITECTURE:
        raise ValueError(
            f"{path} has architecture {config.ARCHITECTURE!r}; it must be"
            f" {CdcConfig.ARCHITECTURE!r}."
        )
    return config
