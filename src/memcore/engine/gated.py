"""The fused form of a `GatedCell`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from memcore.backend import (
    FEWEST_STEPS,
    device_kind,
    is_floating,
    is_jax,
    is_product,
    is_symbolic,
    states_of_fold,
    tree_leaves,
    tree_map,
)
from memcore.engine import resets
from memcore.engine.methods import results, sequential
from memcore.engine.recurrence import Recurrence, either, join, split
from memcore.types import Array, Params, State, Tree

if TYPE_CHECKING:
    from memcore.cell import GatedCell

EMBEDDED_BYTES = 3 * 2**20
"""Of so many bytes the fold embeds steps at once: a product of few rows is slow. Measured on a 2-core CPU:
more would not stay in the cache until it is used."""
FEWEST_ROWS = 4
"""Of so many sequences on one product of a step's inputs and state is faster than embedding steps at once.
Measured on a 2-core CPU: LSTM at 4 x 128 x 64 took 0.73 ms and not 0.90, at 2 x 512 x 128 3.9 and not 3.1."""


def gated(job: Recurrence) -> tuple[Tree, ...]:
    """``(state, reads)``.

    The gradient makes anew at every step what a step computed, but for its projection. Where that is a
    product of the state alone, and the update is cheap, it costs less than keeping it; what else there is
    runs by the plain fold, of which nothing is made again.
    """
    cell, axis, call = cast("GatedCell", job.cell), job.axis, job.call
    if not is_jax(job.leaf) or cell.has_turn:
        return sequential(job)  # no gradient, and so nothing to gain; or more than an update
    leaves, still, structure = split(job.inputs, axis, job.length)
    moving = _numbers(leaves)
    others = [leaf if f is None else None for leaf, f in zip(leaves, moving, strict=True)]

    def inputs(still: Tree, moving: Tree, rest: Tree) -> Tree:
        return join(either(moving, rest[0]), still, structure)

    def project(still: Tree, moving: Tree, rest: Tree, params: Params, h: State) -> Tree:
        return cell.project(params, h, inputs(still, moving, rest))

    slots = (still, moving, (others, call.valid))
    if cell.dear_update or not is_product(project, axis, job.params, job.state, *slots):
        return sequential(job)
    if axis == 0 and device_kind(job.leaf) == "cpu":
        return _with_batch(job)

    def update(still: Tree, moving: Tree, rest: Tree, h: State, projected: Tree) -> Tree:
        after = cell.update(h, inputs(still, moving, rest), projected)
        return after if rest[1] is None else resets.select(rest[1], after, h)

    def embed(params: Params, xs: Array) -> Tree:
        leaves = tree_leaves(cell.embed(params, xs))
        return [None if u is None else leaf for leaf, u in zip(leaves, moving, strict=True)]

    xs = job.xs if _embeds(job) else None
    at_once = 1 if xs is None else _at_once(moving, job.length)
    states = states_of_fold(
        (project, update, embed, cell.enter if _enters(job) else None), axis, at_once,
        job.params, job.state, *slots, call.starts, None if call.starts is None else job.fresh, xs,
    )  # fmt: skip
    return results(job, states)


def _with_batch(job: Recurrence) -> tuple[Tree, ...]:
    """A run without batch axes, with one of length 1: of what time leads, XLA for CPUs copies all that the
    gradient writes over, at every step."""

    def one(tree: Tree) -> Tree:
        return tree_map(lambda x: x[None, ...], tree)

    call = replace(job.call, starts=one(job.call.starts), valid=one(job.call.valid))
    moved = replace(job, inputs=one(job.inputs), state=one(job.state), xs=one(job.xs), call=call)
    return tree_map(lambda x: x[0, ...], gated(replace(moved, shape=(1, *job.shape))))


def _embeds(job: Recurrence) -> bool:
    """Whether the fold embeds: elsewhere than on a CPU, one product of all steps is best (assumed)."""
    return device_kind(job.leaf) == "cpu" and not any(map(is_symbolic, job.shape))


def _enters(job: Recurrence) -> bool:
    """Whether the fold makes the sum of what is embedded and projected by one product."""
    cell, xs = cast("GatedCell", job.cell), job.xs
    if not cell.enters or xs is None or not _embeds(job):
        return False
    # Of other dtypes the two are products of their own, and kernels are cast at every step.
    dtypes = {leaf.dtype for leaf in (xs, *tree_leaves((job.state, job.params)))}
    return len(dtypes) == 1 and math.prod(job.shape[:-1]) >= FEWEST_ROWS


def _at_once(embedded: list[Tree], length: int) -> int:
    """How many steps are embedded at once, by the size of all that is embedded of ``length`` of them; more
    than there are, where there is room for more."""
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in embedded if leaf is not None)
    steps = length * EMBEDDED_BYTES // max(size, 1)
    return 1 if steps < min(FEWEST_STEPS, max(length, 1)) else steps


def _numbers(leaves: list[Tree]) -> list[Tree]:
    """Those that are floating point, None in place of the others."""
    return [leaf if leaf is not None and is_floating(leaf) else None for leaf in leaves]
