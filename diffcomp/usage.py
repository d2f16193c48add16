"""What is wrong with a command line, apart from what is wrong with files: exit codes tell them."""

import contextlib
from collections.abc import Iterator


class UsageError(ValueError):
    """A command line that cannot be right, whatever the files: exit code 2."""


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """Turns a ValueError of the block, which looks at options only, into a UsageError."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error
