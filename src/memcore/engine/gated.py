"""The fused form of a `GatedCell`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from memcore.backend import is_floating, is_jax, is_symbolic, states_of_fold
from memcore.engine import resets
from memcore.engine.methods import results, sequential
from memcore.engine.recurrence import Recurrence, either, join, split
from memcore.types import Array, Params, State, Tree

if TYPE_CHECKING:
    from memcore.cell import GatedCell

EMBEDDED_LATE = 16
"""Sequences from which on a fold without a gradient embeds its inputs itself, measured on a 2-core CPU: of
few sequences that would be a product of few rows at every step, of many the embedded inputs of all steps
would not fit the cache."""


def gated(job: Recurrence) -> tuple[Tree, ...]:
    """``(state, reads)``."""
    if not is_jax(job.leaf):
        return sequential(job)  # no gradient, and so nothing to gain
    cell, axis, call = cast("GatedCell", job.cell), job.axis, job.call
    leaves, still, structure = split(job.inputs, axis, job.length)
    moving = [leaf if leaf is not None and is_floating(leaf) else None for leaf in leaves]
    others = [leaf if f is None else None for leaf, f in zip(leaves, moving, strict=True)]

    def inputs(still: Tree, moving: Tree, rest: Tree) -> Tree:
        return join(either(moving, rest[0]), still, structure)

    def project(still: Tree, moving: Tree, rest: Tree, params: Params, h: State) -> Tree:
        return cell.project(params, h, inputs(still, moving, rest))

    def update(still: Tree, moving: Tree, rest: Tree, h: State, projected: Tree) -> Tree:
        after = cell.update(h, inputs(still, moving, rest), projected)
        return after if rest[1] is None else resets.select(rest[1], after, h)

    def late(rest: Tree, params: Params, h: State, x: Array) -> Tree:
        after = cell.step(params, h, cell.embed(params, x))
        return after if rest[1] is None else resets.select(rest[1], after, h)

    xs = job.xs if job.xs is not None and _are_many(job) else None
    states = states_of_fold(
        (project, update, late), axis, job.params, job.state, still, moving, (others, call.valid),
        call.starts, None if call.starts is None else job.fresh, xs,
    )  # fmt: skip
    return results(job, states)


def _are_many(job: Recurrence) -> bool:
    batch = job.shape[:-1]
    return not any(map(is_symbolic, batch)) and math.prod(batch) >= EMBEDDED_LATE
