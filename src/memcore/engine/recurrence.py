"""One recurrence to be run: what travels together through the methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from memcore.backend import (
    branch,
    broadcast_like,
    namespace,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_unflatten,
)
from memcore.engine import resets
from memcore.engine.call import Call
from memcore.engine.grid import last_places
from memcore.types import Array, Inputs, Params, State, Tree

if TYPE_CHECKING:
    from memcore.cell import Cell, Memoroid


@dataclass(frozen=True)
class Recurrence:
    """A cell with everything that a run of it needs.

    Attributes:
        cell: the cell.
        params: its parameters.
        inputs: what ``embed`` gave: leaves ``(*batch, T, *leaf)``, of time length 1 where constant.
        state: the incoming state, leaves ``(*batch, *leaf)``.
        initial: the state at starts, with or without batch axes; may be None where nothing starts.
        call: how to run.
        shape: ``(*batch, T)``.
        xs: what was embedded, where a fold may do that itself, some steps at a time.
    """

    cell: Cell
    params: Params
    inputs: Inputs
    state: State
    initial: State
    call: Call
    shape: tuple[int, ...]
    xs: Array = None

    @property
    def memoroid(self) -> Memoroid:
        """The cell, for the methods that only a memoroid has."""
        return cast("Memoroid", self.cell)

    @property
    def axis(self) -> int:
        """The time axis."""
        return len(self.shape) - 1

    @property
    def length(self) -> int:
        """T."""
        return self.shape[-1]

    @property
    def fresh(self) -> State:
        """The state at starts with the shapes and dtypes of ``state``; None where nothing starts."""
        return None if self.initial is None else broadcast_like(self.initial, self.state)

    @property
    def turns(self) -> Array:
        """``(T,)`` bool: after which steps the cell's ``turn`` acts; None for a cell without one."""
        if not self.cell.has_turn:
            return None
        like = self.leaf
        return last_places(self.call.phase, self.cell.grid, self.length, like)

    @property
    def leaf(self) -> Array:
        """Any array of the run: it tells the library."""
        leaves = tree_flatten((self.state, self.inputs))[0]
        return leaves[0]


def job_of(
    cell: Cell, params: Params, inputs: Inputs, state: State, call: Call, initial: State = None
) -> Recurrence:
    """The run that a ``fused`` was asked for: ``(*batch, T)`` is found from the state and the inputs."""
    own = cell.initial_state(params)
    initial = own if initial is None else initial
    leaf = tree_leaves(state)[0]
    axis = leaf.ndim - np.ndim(tree_leaves(own)[0])
    length = max(u.shape[axis] for u in tree_leaves(inputs))
    return Recurrence(cell, params, inputs, state, initial, call, (*leaf.shape[:axis], length))


def split(inputs: Inputs, axis: int, length: int) -> tuple[list[Tree], list[Tree], Tree]:
    """Leaves that move in time and leaves that do not (None in the other's place)."""
    leaves, structure = tree_flatten(inputs)
    moves = [leaf.shape[axis] == length for leaf in leaves]
    moving = [leaf if m else None for leaf, m in zip(leaves, moves, strict=True)]
    still = [None if m else leaf for leaf, m in zip(leaves, moves, strict=True)]
    return moving, still, structure


def either(leaves: list[Tree], others: list[Tree]) -> list[Tree]:
    """Leaves of which each stands in one of two lists."""
    return [b if a is None else a for a, b in zip(leaves, others, strict=True)]


def part(job: Recurrence, begin: int, end: int) -> Recurrence:
    """The steps from ``begin`` to before ``end``, with the state of the whole."""
    index = (slice(None),) * job.axis + (slice(begin, end), ...)

    def cut(x: Array) -> Array:
        return x[index] if x.shape[job.axis] == job.length else x

    call = job.call
    inputs, starts, valid = tree_map(cut, (job.inputs, call.starts, call.valid))
    call = replace(call, starts=starts, valid=valid)
    return replace(job, inputs=inputs, call=call, shape=(*job.shape[:-1], end - begin), xs=None)


def join(moving: list[Tree], still: list[Tree], structure: Tree) -> Tree:
    """The inverse of `split`."""
    return tree_unflatten(structure, either(moving, still))


def time_first(tree: Tree, axis: int) -> Tree:
    return tree_map(lambda leaf: namespace(leaf).moveaxis(leaf, axis, 0), tree)


def time_back(tree: Tree, axis: int) -> Tree:
    return tree_map(lambda leaf: namespace(leaf).moveaxis(leaf, 0, axis), tree)


def drop_time(leaf: Array, axis: int) -> Array:
    return None if leaf is None else namespace(leaf).squeeze(leaf, axis=axis)


def slots_of(job: Recurrence) -> tuple[Tree, Tree]:
    """What the steps are given one by one, time leading, and what all of them share.

    ``(slots, constants)``; a slot is ``(moving inputs, start, valid, turn)``.
    """
    moving, still, structure = split(job.inputs, job.axis, job.length)
    constants = (job.params, job.fresh, [drop_time(leaf, job.axis) for leaf in still])
    flags = (job.call.starts, job.call.valid)
    return (*time_first((moving, *flags), job.axis), job.turns), (constants, structure)


def advance(cell: Cell, structure: Tree) -> Callable[[Tree, Tree, Tree], tuple[Tree, ...]]:
    """One step with its start, validity and turn: ``(before, after, turned, read)`` of a slot."""

    def one(constants: Tree, h: Array, slot: Tree) -> tuple[Tree, ...]:
        (params, initial, still), (moved, start, valid, turn) = constants, slot
        inputs = join(moved, still, structure)
        return moved_by(cell, params, inputs, h, initial, (start, valid, turn))

    return one


def moved_by(
    cell: Cell, params: Params, inputs: Inputs, h: State, initial: State, flags: tuple[Array, ...]
) -> tuple[Tree, ...]:
    """One step, by inputs without time: ``(before, after, turned, read)``; ``read`` is a function of a
    state, and ``flags`` are ``(start, valid, turn)``."""
    start, valid, turn = flags
    step, read = cell.moves(params, inputs)
    before = resets.select(start, initial, h)
    after = step(before)
    after = after if valid is None else resets.select(valid, after, before)
    return before, after, _turned(cell, params, turn, after), read


def _turned(cell: Cell, params: Params, turn: Array, h: State) -> State:
    """``h`` after the cell's own update, where the scalar ``turn`` is set: elsewhere that is not computed."""
    if turn is None:
        return h
    return branch(turn, lambda: broadcast_like(cell.turn(params, h), h), lambda: h)
