"""`python -m ashore`: the same as the command `ashore`."""

import sys

from ashore.cli import main

sys.exit(main())
