"""Models by family: one file per paper, cell or composite."""

from memcore.models.dense import *
from memcore.models.diagonal import *
from memcore.models.gated import *
from memcore.models.grid import *
from memcore.models.inner import *
from memcore.models.matrix import *
from memcore.models.semiring import *
from memcore.models.window import *
