"""The contract: `Model`, `Cell`, `GatedCell` and `Memoroid`.

A model is a frozen dataclass. Its fields are hyperparameters, its methods are pure functions of their
arguments, and it holds no arrays: it hashes and compares by value, prints its own configuration,
pickles, and is a valid static argument of ``jax.jit``.
"""

from memcore.cell.cell import Cell as Cell
from memcore.cell.gated import GatedCell as GatedCell
from memcore.cell.memoroid import Memoroid as Memoroid
from memcore.cell.model import Model as Model
from memcore.types import Array as Array
from memcore.types import Dtype as Dtype
from memcore.types import Element as Element
from memcore.types import Inputs as Inputs
from memcore.types import Key as Key
from memcore.types import Params as Params
from memcore.types import Reads as Reads
from memcore.types import Starts as Starts
from memcore.types import State as State
from memcore.types import Tree as Tree
