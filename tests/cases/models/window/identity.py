"""No memory."""

import memcore
from cases.models.base import ModelCase

CASES = [ModelCase("identity", memcore.Identity(3), lambda p, x, s: x)]
