"""The command `diffcomp`: compress, decompress, info, import-cdc, evaluate, serve.

Errors are one line. Exit code 2: the command line is wrong; 1: a file is, or the work failed. What
a sub-command takes and does stands in `commands/`.
"""

import argparse
import contextlib
import functools
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from diffcomp import __version__
from diffcomp.commands import compress, decompress, import_cdc, info, serve
from diffcomp.commands.terminal import FAILURES, exit_code, print_error
from diffcomp.evaluation import command as evaluate

# How JAX's warnings of its cache begin.
_CACHE_FAULTS = "Error (reading|writing) persistent compilation"
COMMANDS = (compress, decompress, info, import_cdc, evaluate, serve)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code (0 done, 1 failed, 2 wrong usage)."""
    args = _parser().parse_args(argv)
    try:
        with _told(args):
            args.run(args)
    except FAILURES as error:
        print_error(error)
        return exit_code(error)
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
            warnings.filterwarnings("always", _CACHE_FAULTS)
            warnings.showwarning = functools.partial(_show_warning, warnings.showwarning)
            yield
    finally:
        logger.setLevel(level)


def _show_warning(show: Callable[..., None], message: Warning, *args: Any, **kwargs: Any) -> None:
    """Shows it, unless it is of JAX's cache: one that fills up costs time, not the result."""
    if not re.match(_CACHE_FAULTS, str(message)):
        show(message, *args, **kwargs)
        return
    from diffcomp import compilation_cache  # JAX, which warns, is imported

    compilation_cache.drop_unreadable(str(message))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="diffcomp",
        description="Image codec with a diffusion decoder.",
        epilog="exit codes: 0 done; 1 a file is wrong, or the work failed; 2 the command line is"
        " wrong; 130 interrupted",
    )
    parser.add_argument("--version", action="version", version=f"diffcomp {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
