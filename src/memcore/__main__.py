"""`python -m memcore` is the command `memcore`."""

import sys

from memcore.cli import main

sys.exit(main())
