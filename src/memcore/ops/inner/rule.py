"""What the memories share that are trained while they read: a rule whose state is its own weights.

It is a cell, since a step needs its state and two steps do not combine: its inputs are a dict of arrays with
heads, and its parameters are the weights at starts. It runs as a part of a composite, or behind a function.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from memcore.backend import (
    asarray_like,
    common_axes,
    compiled,
    namespace,
    placed_like,
    state_dtype,
    tree_leaves,
    tree_map,
    tree_paths,
)
from memcore.cell import Array, Cell, Inputs, Key, Params, Starts, State
from memcore.engine.call import Call
from memcore.engine.checks import as_array, check_flags, check_method, check_state
from memcore.engine.grid import common_phase, with_phase
from memcore.engine.methods import in_chunks, recur, sequential
from memcore.engine.recurrence import Recurrence
from memcore.engine.resets import poison
from memcore.fields import count
from memcore.ops.arguments import as_floats, check_shape
from memcore.ops.run import keep
from memcore.types import Dtype, Tree

CHUNK = 16
"""Steps whose states are made again for the gradient together, where nobody says it."""


@dataclass(frozen=True)
class InnerRule(Cell):
    """A memory that is trained while it reads; inputs are a dict, ``q (..., H, D)`` among them.

    Args:
        in_features: D, the width of a head.
        mini_batch: rows whose gradients are taken at the same weights.
    """

    mini_batch: int = count(1)

    matrix_ndim: ClassVar[int] = 3
    """Axes of a parameter, without the batch's."""

    @property
    def grid(self) -> int:
        return self.mini_batch

    @property
    def has_turn(self) -> bool:
        return self.mini_batch > 1

    @property
    def methods(self) -> tuple[str, ...]:
        return ("sequential", "fused")

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        """Nothing: whoever declares the part draws the weights at starts."""
        return {}

    def fused(
        self, params: Params, state: State, inputs: Inputs, starts: Starts, *,
        initial: State = None, valid: Array = None, chunk_size: int | None = None,
    ) -> tuple[State, Array]:  # fmt: skip
        """The fold, whose states are kept for the gradient once per chunk. For rules without a grid."""
        shape = inputs["q"].shape[:-2]
        initial = self.initial_state(params) if initial is None else initial
        job = Recurrence(self, params, inputs, state, initial, Call(starts, valid), shape)
        state, out = in_chunks(job, min(chunk_size or CHUNK, job.length), sequential)
        return state, out

    def _apply(
        self, params: Params, xs: Inputs, state: State, initial: State, call: Call
    ) -> tuple[Tree, ...]:
        """``xs`` are the rule's inputs; the outputs have the dtype of ``v``."""
        if call.watch is not None:
            call.watch(self, params, xs)
        shape, like = tuple(xs["q"].shape[:-2]), xs["v"]
        state, out, *states = recur(Recurrence(self, params, xs, state, initial, call, shape))
        return (state, namespace(out).astype(out, like.dtype, copy=False), *states)


def headed(q: Array, k: Array, v: Array, **gates: Array) -> dict[str, Array]:
    """``q, k, v (..., T, H, D)`` and gates ``(..., T, H)``, checked."""
    inputs = {"q": as_floats("q", q, 3, "(..., T, H, D)")}
    like = inputs["q"]
    for name, x in {"k": k, "v": v}.items():
        inputs[name] = as_floats(name, x, 3, "(..., T, H, D)")
        check_shape(name, inputs[name], like.shape, f"q {tuple(like.shape)}")
    for name, x in gates.items():
        inputs[name] = as_floats(name, x, 2, "(..., T, H)")
        check_shape(name, inputs[name], like.shape[:-1], f"q {tuple(like.shape)}")
    return inputs


def run_inner(
    rule: InnerRule, params: Params, inputs: dict[str, Array], state: State, call: Call
) -> tuple[State, Array]:
    """Run a rule on checked arrays: ``(state, out)``, on a grid with the phase in the state."""
    check_method(rule, call.method, call.chunk_size)
    _check_batch(rule, params, inputs["q"])
    starts, valid = as_array(call.starts, "starts"), as_array(call.valid, "valid")
    statics = (rule, call.method, call.chunk_size)
    return compiled(_run_inner, statics, (params, inputs, state, starts, valid))


def _check_batch(rule: InnerRule, params: Params, q: Array) -> None:
    """Raise ValueError for weights at starts whose batch axes do not broadcast to those of ``q``."""
    batch = tuple(q.shape[:-3])
    for name, leaf in tree_paths(params):
        lead = tuple(leaf.shape[: leaf.ndim - rule.matrix_ndim])
        ends = batch[max(len(batch) - len(lead), 0) :]
        if len(lead) > len(batch) or any(n not in (1, m) for n, m in zip(lead, ends, strict=True)):
            raise ValueError(
                f"{name} has shape {tuple(leaf.shape)}, expected batch axes that broadcast to "
                f"{batch}, those of q {tuple(q.shape)}"
            )


def _run_inner(
    rule: InnerRule, method: str, chunk_size: int | None, params: Params, inputs: Inputs,
    state: State, starts: Starts, valid: Array,
) -> tuple[State, Array]:  # fmt: skip
    params, inputs, state, starts, valid = common_axes((params, inputs, state, starts, valid))
    like = inputs["v"]
    shape = tuple(like.shape[:-2])
    fresh = _fresh(rule, params, like, shape[:-1])
    starts = check_flags("starts", starts, like, shape, "v")
    valid = check_flags("valid", valid, like, shape, "v")
    call = Call(starts, valid, method, chunk_size)
    if rule.grid == 1:
        memory = fresh if state is None else check_state(state, fresh, like, len(shape) - 1)
        return _recur(rule, params, inputs, memory, fresh, call)
    whole = with_phase(fresh, 0, shape[:-1], like)
    whole = whole if state is None else check_state(state, whole, like, len(shape) - 1)
    phase, differs = common_phase(whole["phase"], rule.grid)
    call = replace(call, phase=phase)
    memory, out = _recur(rule, params, inputs, whole["memory"], fresh, call)
    if differs is not None:
        out = poison(namespace(out).broadcast_to(differs[..., None], shape), out)
    ahead = (whole["phase"] + shape[-1]) % rule.grid
    return with_phase(memory, ahead, shape[:-1], like), out


def _fresh(rule: InnerRule, params: Params, like: Array, batch: tuple[int, ...]) -> State:
    """The state at starts, with all batch axes; the parameters may have some of them."""
    xp = namespace(like)
    wide = xp.zeros(1, dtype=state_dtype(xp, like.dtype))
    lead = max((leaf.ndim - rule.matrix_ndim for leaf in tree_leaves(params)), default=0)

    def full(x: Array) -> Array:
        return xp.broadcast_to(asarray_like(x, wide), (*batch, *x.shape[lead:]))

    return placed_like(tree_map(full, rule.initial_state(params)), like, len(batch))


def _recur(
    rule: InnerRule, params: Params, inputs: Inputs, state: State, fresh: State, call: Call
) -> tuple[State, Array]:
    like = inputs["v"]
    shape = tuple(like.shape[:-2])
    if shape[-1] == 0:
        return state, namespace(like).zeros_like(like)
    state, out = recur(Recurrence(rule, params, inputs, state, fresh, call, shape))[:2]
    return state, namespace(like).astype(keep(call.valid, out), like.dtype, copy=False)
