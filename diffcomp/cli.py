"""The command `diffcomp`: compress, decompress, info, import-cdc, evaluate, serve.

Errors are one line and exit code 1. What a sub-command takes and does stands in `commands/`.
"""

import argparse
import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence

from diffcomp import __version__
from diffcomp.commands import compress, decompress, import_cdc, info, serve
from diffcomp.commands.terminal import FAILURES, print_error
from diffcomp.evaluation import command as evaluate

COMMANDS = (compress, decompress, info, import_cdc, evaluate, serve)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code (0 done, 1 failed, 2 wrong usage)."""
    args = _parser().parse_args(argv)
    try:
        with _told(args):
            args.run(args)
    except FAILURES as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        print("diffcomp: interrupted", file=sys.stderr)
        return 130
    return 0


@contextlib.contextmanager
def _told(args: argparse.Namespace) -> Iterator[None]:
    """Lets through what --verbose and --quiet say, for the time of the command."""
    logger = logging.getLogger("diffcomp")
    level = logger.level
    logging.getLogger("jax").setLevel(logging.ERROR)
    if getattr(args, "quiet", False):
        logger.setLevel(logging.ERROR)
    if getattr(args, "verbose", False):
        # What took how long: milliseconds since the start of the program, roughly.
        logging.basicConfig(format="%(relativeCreated)6.0f ms  %(message)s")
        logger.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            # A cache that fills up or goes away costs time, not the result.
            warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation")
            yield
    finally:
        logger.setLevel(level)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="diffcomp", description="Image codec with a diffusion decoder."
    )
    parser.add_argument("--version", action="version", version=f"diffcomp {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
