"""`--config=FILE` and `--config.NAME=VALUE` of the programs in `launch/`."""

import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import ml_collections
from absl import app

_LIBRARY = Path(ml_collections.__file__).parent


def run(main: Callable[[list[str]], None]) -> None:
    """`absl.app.run`, in which a field that the configuration lacks is a line and exit code 2.

    ml_collections raises for it while the command line is read, before `main` can look at it.
    """
    app.run(main, flags_parser=_parse)


def _parse(arguments: Sequence[str]) -> list[str]:
    try:
        return app.parse_flags_with_usage(arguments)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if not _is_of_library(error):
            raise  # a fault in the configuration's file: where it is says more than a line
        fields = [a for a in arguments if a.startswith("--config.") or a.startswith("-config.")]
        program, reason = Path(arguments[0]).stem, " ".join(str(error).split())
        print(f"{program}: cannot set {' '.join(fields)}: {reason}", file=sys.stderr)
        sys.exit(2)


def _is_of_library(error: Exception) -> bool:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Path(last.filename).is_relative_to(_LIBRARY)
