"""`--config=FILE` and `--config.NAME=VALUE` of the programs in `launch/`."""

import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import absl
import ml_collections
from absl import app

from diffcomp.commands.terminal import print_error

_LIBRARIES = [Path(library.__path__[0]) for library in (absl, ml_collections)]


def run(main: Callable[[list[str]], None]) -> None:
    """`absl.app.run`, in which a field that the configuration lacks is a line and exit code 2.

    ml_collections raises for it while the command line is read, before `main` can look at it. A
    value of the wrong type stays an error of absl's, with its exit code, 1.
    """
    app.run(main, flags_parser=_parse)


def _parse(arguments: Sequence[str]) -> list[str]:
    try:
        return app.parse_flags_with_usage(arguments)
    except (AttributeError, LookupError, TypeError, ValueError, OSError) as error:
        if not _is_of_libraries(error):
            raise  # a fault in the configuration's file: where it is says more than a line
        fields = [a for a in arguments if a.lstrip("-").startswith("config")]
        reason = f"cannot set {' '.join(fields)}: {_innermost(error)}"
        print_error(ValueError(reason), Path(arguments[0]).stem)
        sys.exit(2)


def _is_of_libraries(error: Exception) -> bool:
    """Whether nothing but them and this file was under way when it was raised."""
    files = {Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)}
    ours = files - {Path(__file__)}
    return all(any(f.is_relative_to(library) for library in _LIBRARIES) for f in ours)


def _innermost(error: Exception) -> str:
    """What is wrong, which ml_collections wraps into errors of errors."""
    reason: object = error
    while isinstance(reason, Exception) and reason.args:
        reason = reason.args[-1 if isinstance(reason, OSError) else 0]
    return " ".join(str(reason).split())
