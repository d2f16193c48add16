"""The command `diffcomp`, which `python -m diffcomp` is too."""

import os
import sys


def main() -> int:
    """Runs the command of `sys.argv`; returns the exit code."""
    # For NumPy, which reads it when it is imported. The products of matrices that read a file's
    # symbols are small: threads gain little, and where other programs run they wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from diffcomp import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
