"""`python -m diffcomp` is the command `diffcomp`."""

import sys

from diffcomp.cli import main

sys.exit(main())
