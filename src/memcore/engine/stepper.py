"""Steps on NumPy: what was looked at once is not looked at again.

To ask whether the arguments of a step fit takes longer than the step of a small model. So the first step of a
kind leaves a `Plan`: what its arguments were like, and which arrays were found to be the model's parameters.
A later step of this kind goes to the model at once. Any other one is left to the way of all runs, which looks
at everything: where something is new, does not fit, or holds a number that is not finite.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memcore.backend import tree_flatten, tree_leaves, tree_map
from memcore.engine.call import Call
from memcore.engine.checks import as_booleans, check_flags
from memcore.engine.grid import common_phase, with_phase
from memcore.engine.parameters import fits
from memcore.engine.parts import constant_initial
from memcore.engine.state import compute_dtype, memory_like
from memcore.types import Array, Dtype, Params, State, Tree

if TYPE_CHECKING:
    from memcore.cell import Model

MOST = 256
"""How many plans are kept."""

ONE_STEP = Call(one_step=True)
"""How a step runs in which nothing starts, of a model without a grid."""


@dataclass
class Plan:
    """A kind of steps: those of one model, and of one shape and dtype of ``x``.

    Attributes:
        model: the model, which is causal, and whose recurrences have the fold.
        grid: its grid.
        batch: the batch axes.
        state: the structure of the state, and shape and dtype of its leaves.
        dtypes: of the parameters.
        initial: the memory at starts; None where the parameters decide it.
        seen: the parameters that were looked at last, by weak references, nested as they are.
    """

    model: Model
    grid: int
    batch: tuple[int, ...]
    state: tuple[Tree, list[tuple[tuple[int, ...], Dtype]]]
    dtypes: list[Dtype]
    initial: State
    seen: dict[str, Any]

    def run(self, params: Params, state: State, x: Array, start: Array) -> Tree:
        """``(state, y)`` in arrays of their own; None where the step is of another kind."""
        if not (self.knows(params) and self._holds(state) and self._reads(x)):
            return None
        model, axis = self.model, len(self.batch)
        memory, phase, starts, initial, call = state, None, None, None, ONE_STEP
        if start is not None:
            starts = self._start(start, x)[..., None]
            initial = model.initial_state(params) if self.initial is None else self.initial
        if self.grid > 1:
            memory, (phase, _) = state["memory"], common_phase(state["phase"], self.grid)
        if self.grid > 1 or start is not None:
            call = Call(starts, phase=phase, one_step=True)
        front = (slice(None),) * axis
        xs = (x if x.flags.forc else np.array(x))[(*front, None, ...)]
        memory, ys = model._apply(params, xs, memory, initial, call)[:2]
        after = memory
        if self.grid > 1:
            after = with_phase(memory, (state["phase"] + 1) % self.grid, self.batch, x)
        return _own(after), np.array(ys[(*front, 0, ...)])

    def knows(self, params: Params) -> bool:
        """Whether these are the parameters that were looked at last, or fit as they do."""
        if _same(self.seen, params):
            return True
        if not fits(self.model, params) or _dtypes(params) != self.dtypes:
            return False
        self.seen = tree_map(weakref.ref, params)
        return True

    def _holds(self, state: State) -> bool:
        """Whether a state has the plan's shapes and dtypes, and its numbers are finite."""
        structure, kinds = self.state
        leaves, given = tree_flatten(state)
        return given == structure and all(
            (type(leaf) is np.ndarray or isinstance(leaf, np.generic))
            and leaf.shape == shape
            and leaf.dtype == dtype
            and leaf.flags.forc
            and (dtype.kind != "f" or np.isfinite(leaf).all())
            for leaf, (shape, dtype) in zip(leaves, kinds, strict=True)
        )

    def _reads(self, x: Array) -> bool:
        """Whether the numbers are finite, or tokens of the vocabulary."""
        if x.dtype.kind == "f":
            return bool(np.isfinite(x).all())
        return bool(x.min() >= 0 and x.max() < self.model.in_features)

    def _start(self, start: Array, x: Array) -> Array:
        """``start`` as booleans of the batch's shape."""
        if type(start) is np.ndarray and start.dtype == bool and start.shape == self.batch:
            return start
        return check_flags("start", as_booleans(start=start)[0], x, self.batch, "x", 0)


_PLANS: dict[tuple[Model, tuple[int, ...], Dtype], Plan] = {}


def run_planned(model: Model, params: Params, state: State, x: Array, start: Array) -> Tree:
    """``(state, y)`` of a step of a kind that was seen before; None of any other."""
    if type(x) is not np.ndarray and not isinstance(x, np.generic):
        return None
    plan = _PLANS.get((model, x.shape, x.dtype))
    return None if plan is None else plan.run(params, state, x, start)


def leave_plan(model: Model, params: Params, x: Array) -> None:
    """Remember a step that fitted, if it was one on NumPy."""
    if type(x) is not np.ndarray or not x.size or x.dtype.kind not in "fiu":
        return
    key = (model, x.shape, x.dtype)
    left = _PLANS.get(key)
    if left is not None and left.knows(params):
        return
    dtypes = _dtypes(params)
    if dtypes is None or not fits(model, params):
        return
    if not all("sequential" in cell.methods for _, cell in model.recurrences()):
        return
    batch = x.shape[: x.ndim - model.input_ndim]
    state = memory_like(model, params, x, batch, compute_dtype(model, params, x))
    state = with_phase(state, 0, batch, x) if model.grid > 1 else state
    leaves, structure = tree_flatten(state)
    kinds = [(leaf.shape, leaf.dtype) for leaf in leaves]
    initial, seen = constant_initial(model), tree_map(weakref.ref, params)
    if len(_PLANS) >= MOST:
        _PLANS.clear()
    _PLANS[key] = Plan(model, model.grid, batch, (structure, kinds), dtypes, initial, seen)


def _same(seen: dict[str, Any], params: Tree) -> bool:
    """Whether these are the very arrays, under the same names."""
    if type(params) is not dict or len(params) != len(seen):
        return False
    for name, kept in seen.items():
        leaf = params.get(name)
        if not (_same(kept, leaf) if type(kept) is dict else leaf is not None and kept() is leaf):
            return False
    return True


def _dtypes(params: Params) -> list[Dtype] | None:
    """The dtypes of the parameters; None where not all of them are NumPy's."""
    leaves = tree_leaves(params)
    return [x.dtype for x in leaves] if all(isinstance(x, np.ndarray) for x in leaves) else None


def _own(tree: Tree) -> Tree:
    """Arrays that can be written to, and share nothing with the arguments."""
    return np.array(tree) if isinstance(tree, np.ndarray) else tree_map(np.array, tree)
