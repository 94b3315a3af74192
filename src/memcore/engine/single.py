"""A single sequence on JAX's CPU, whose batch axes all have length 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from memcore.backend import device_kind, in_parts, is_symbolic, namespace, tree_map
from memcore.engine.call import Call
from memcore.types import Array, Params, State, Tree

if TYPE_CHECKING:
    from memcore.cell import Model


def without_batch(
    run: Callable[..., tuple[Tree, ...]], model: Model, params: Params, xs: Array, memory: State,
    fresh: State, call: Call, every: bool | int,
) -> tuple[Tree, ...]:  # fmt: skip
    """``run``, of a single sequence without its batch axes, which its results have again: XLA for CPUs takes
    ten times as long for a sum behind an axis of length 1, as the gradient of a scale is one."""
    axes = tuple(range(xs.ndim - model.input_ndim - 1))
    single = all(not is_symbolic(n) and n == 1 for n in xs.shape[: len(axes)])
    spread = call.axis_name is not None or in_parts((xs, memory), len(axes))
    if not axes or not single or spread or device_kind(xs) != "cpu":
        return run(model, params, xs, memory, fresh, call, every)

    def one(tree: Tree) -> Tree:
        return tree_map(lambda x: namespace(x).squeeze(x, axis=axes), tree)

    again = one(fresh)
    state = again if memory is fresh else one(memory)  # the same one is not looked at again
    call = replace(call, starts=one(call.starts), valid=one(call.valid))
    results = run(model, params, one(xs), state, again, call, every)
    return tree_map(lambda x: namespace(x).reshape(x, (*(1,) * len(axes), *x.shape)), results)
