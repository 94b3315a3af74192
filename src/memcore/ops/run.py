"""Running a rule on arrays: what every function of `memcore.ops` ends in."""

from __future__ import annotations

from memcore.backend import (
    asarray_like,
    common_axes,
    compiled,
    namespace,
    placed_like,
    state_dtype,
    tree_leaves,
    tree_map,
)
from memcore.cell import Array, Inputs, Starts, State
from memcore.engine.call import Call
from memcore.engine.checks import as_array, as_arrays, check_flags, check_method, check_state
from memcore.engine.methods import recur
from memcore.engine.recurrence import Recurrence
from memcore.engine.resets import align
from memcore.ops.rule import Rule, RulePart, narrow


def run_rule(
    rule: Rule, inputs: dict[str, Array], like: str, time: int, state: State, initial: State,
    call: Call,
) -> tuple[State, Array]:  # fmt: skip
    """Run a rule on arrays: ``(state, out)``.

    ``inputs[like]`` tells the shape and dtype of the outputs; its axis ``time`` (negative) is time,
    the axes before it are the batch's.
    """
    check_method(rule, call.method, call.chunk_size)
    statics = (rule, like, time, call.method, call.chunk_size)
    inputs = {name: as_arrays(x, name) for name, x in inputs.items()}
    state, initial = as_arrays(state, "state"), as_arrays(initial, "initial")
    starts, valid = as_array(call.starts, "starts"), as_array(call.valid, "valid")
    return compiled(_run_rule, statics, (inputs, state, initial, starts, valid))


def _run_rule(
    rule: Rule, like: str, time: int, method: str, chunk_size: int | None,
    inputs: Inputs, state: State, initial: State, starts: Starts, valid: Array,
) -> tuple[State, Array]:  # fmt: skip
    inputs, state, initial, starts, valid = common_axes((inputs, state, initial, starts, valid))
    pattern = tree_leaves(inputs[like])[0]
    shape = tuple(pattern.shape[: time + 1])
    xp, batch = namespace(pattern), shape[:-1]
    wide = xp.zeros(1, dtype=state_dtype(xp, pattern.dtype))
    inputs = {name: _placed(rule, name, x, wide, len(shape)) for name, x in inputs.items()}
    zeros = rule.zeros(inputs)
    full = tree_map(lambda z: xp.broadcast_to(asarray_like(z, wide), (*batch, *z.shape)), zeros)
    full = placed_like(full, pattern, len(batch))
    if initial is None:
        initial = zeros
    else:
        initial = check_state(initial, full, pattern, len(batch), "initial", like)
    if state is None:
        state = full if initial is zeros else initial
    else:
        state = check_state(state, full, pattern, len(batch), "state", like)
    starts = check_flags("starts", starts, pattern, shape, like)
    valid = check_flags("valid", valid, pattern, shape, like)
    if shape[-1] == 0:
        return state, tree_map(lambda x: xp.zeros_like(x, dtype=pattern.dtype), inputs[like])
    call = Call(starts, valid, method, chunk_size)
    job = Recurrence(RulePart(1, rule), {}, inputs, state, initial, call, shape)
    state, out = recur(job)
    return state, tree_map(lambda o: narrow(rule, keep(valid, o), pattern), out)


def _placed(rule: Rule, name: str, x: Inputs, wide: Array, axes: int) -> Inputs:
    """An input in a dtype that gives states of ``wide``'s; a weight with batch and time axes of length 1."""

    def leaf(x: Array) -> Array:
        xp = namespace(x)
        x = x if state_dtype(xp, x.dtype) == wide.dtype else xp.astype(x, wide.dtype)
        return xp.reshape(x, (*(1,) * axes, *x.shape)) if name in rule.weights else x

    return tree_map(leaf, x)


def keep(valid: Array, x: Array, identity: float = 0.0) -> Array:
    """``x`` where ``valid`` (leading axes), else the number that leaves a memory as it is."""
    if valid is None:
        return x
    xp = namespace(x)
    return xp.where(align(valid, x.ndim), x, xp.asarray(identity, dtype=x.dtype))


def sum_of_used(used: Array, log_decay: Array) -> Array:
    """The logarithm of what is kept over the steps that are ``used (*batch, T)``; None without a decay."""
    if log_decay is None:
        return None
    return namespace(log_decay).sum(keep(used, log_decay), axis=used.ndim - 1)
