"""The only room that knows which array library is in use.

Everything above it asks here for the namespace of its arrays, for tree functions, for loops over time
and for random draws. JAX is imported in here only, and only once a JAX array is met.
"""

from memcore.backend.draws import Draw as Draw
from memcore.backend.draws import LabelDraw as LabelDraw
from memcore.backend.draws import Labelled as Labelled
from memcore.backend.draws import TooManyNumbers as TooManyNumbers
from memcore.backend.draws import as_draw as as_draw
from memcore.backend.draws import as_key as as_key
from memcore.backend.draws import at_most as at_most
from memcore.backend.functions import all_finite as all_finite
from memcore.backend.functions import block_product as block_product
from memcore.backend.functions import broadcasting as broadcasting
from memcore.backend.functions import checkpoint as checkpoint
from memcore.backend.functions import common_axes as common_axes
from memcore.backend.functions import compiled as compiled
from memcore.backend.functions import everywhere as everywhere
from memcore.backend.functions import gathered as gathered
from memcore.backend.functions import in_parts as in_parts
from memcore.backend.functions import of_last as of_last
from memcore.backend.functions import of_one_before as of_one_before
from memcore.backend.functions import outer as outer
from memcore.backend.functions import parts as parts
from memcore.backend.functions import piece as piece
from memcore.backend.functions import placed_like as placed_like
from memcore.backend.functions import product as product
from memcore.backend.functions import rows as rows
from memcore.backend.functions import sigmoid as sigmoid
from memcore.backend.functions import spread as spread
from memcore.backend.functions import stop_gradient as stop_gradient
from memcore.backend.functions import sum_last as sum_last
from memcore.backend.loops import FEWEST_STEPS as FEWEST_STEPS
from memcore.backend.loops import associative_scan as associative_scan
from memcore.backend.loops import branch as branch
from memcore.backend.loops import checkpointed_fold as checkpointed_fold
from memcore.backend.loops import fold as fold
from memcore.backend.loops import is_product as is_product
from memcore.backend.loops import newton as newton
from memcore.backend.loops import running_max as running_max
from memcore.backend.loops import states_of_fold as states_of_fold
from memcore.backend.namespace import asarray_like as asarray_like
from memcore.backend.namespace import broadcast_like as broadcast_like
from memcore.backend.namespace import cast as cast
from memcore.backend.namespace import device_kind as device_kind
from memcore.backend.namespace import dtype_of as dtype_of
from memcore.backend.namespace import is_bool as is_bool
from memcore.backend.namespace import is_floating as is_floating
from memcore.backend.namespace import is_integer as is_integer
from memcore.backend.namespace import is_jax as is_jax
from memcore.backend.namespace import namespace as namespace
from memcore.backend.namespace import state_dtype as state_dtype
from memcore.backend.namespace import to_numpy as to_numpy
from memcore.backend.tree import nested as nested
from memcore.backend.tree import tree_flatten as tree_flatten
from memcore.backend.tree import tree_leaves as tree_leaves
from memcore.backend.tree import tree_map as tree_map
from memcore.backend.tree import tree_paths as tree_paths
from memcore.backend.tree import tree_unflatten as tree_unflatten
from memcore.backend.values import as_flags as as_flags
from memcore.backend.values import is_symbolic as is_symbolic
from memcore.backend.values import known as known
from memcore.backend.values import plain as plain
