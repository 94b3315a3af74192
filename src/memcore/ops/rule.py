"""What the rules share: a rule is a memoroid on plain arrays, and runs on the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import array_api_compat
import numpy as np

from memcore.backend import (
    asarray_like,
    compiled,
    is_floating,
    namespace,
    state_dtype,
    tree_leaves,
    tree_map,
)
from memcore.cell import Memoroid
from memcore.engine import methods
from memcore.engine.call import Call
from memcore.engine.checks import as_array, check_flags, check_method, check_state
from memcore.engine.resets import align


@dataclass(frozen=True)
class Rule(Memoroid):
    """A memory rule on plain arrays. Its only parameter is the state at each start."""

    in_features: int = 1

    saturates: ClassVar[bool] = False
    """Whether outputs may be the floor, which float16 cannot hold: they become its lowest number."""

    def initial_state(self, params: Any) -> Any:
        return params

    def zeros(self, inputs: Any) -> Any:
        """The empty state, mostly zeros: unbatched NumPy arrays, for inputs of these shapes."""
        raise NotImplementedError


@dataclass(frozen=True)
class RuleCell(Memoroid):
    """A cell whose recurrence is one of the shared rules: it embeds, initialises and projects."""

    @property
    def rule(self) -> Rule:
        """The rule, with this cell's hyperparameters."""
        raise NotImplementedError

    def lift(self, params: Any, inputs: Any) -> Any:
        return self.rule.lift({}, inputs)

    def binary_op(self, params: Any, a: Any, b: Any) -> Any:
        return self.rule.binary_op({}, a, b)

    def act(self, params: Any, state: Any, element: Any) -> Any:
        return self.rule.act({}, state, element)

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        return self.rule.step({}, state, inputs)

    def read(self, params: Any, state: Any, inputs: Any) -> Any:
        return self.rule.read({}, state, inputs)

    def fused(
        self, params: Any, state: Any, inputs: Any, starts: Any, *, valid: Any = None,
        chunk_size: int | None = None,
    ) -> tuple[Any, Any]:  # fmt: skip
        initial = self.initial_state(params)
        return self.rule.fused(initial, state, inputs, starts, valid=valid, chunk_size=chunk_size)


def run_rule(
    rule: Rule, inputs: dict[str, Any], like: str, time: int, state: Any, initial: Any, call: Call,
    weights: dict[str, Any] | None = None, name: str = "v",
) -> tuple[Any, Any]:  # fmt: skip
    """Run a rule on arrays: ``(state, out)``.

    ``inputs[like]`` tells the shape and dtype of the outputs; its axis ``time`` (negative) is time,
    the axes before it are the batch's. ``weights`` are what the rule needs beside its initial state.
    ``name`` is what the caller's argument ``inputs[like]`` is called in messages.
    """
    check_method(rule, call.method, call.chunk_size, False)
    statics = (rule, like, name, time, call.method, call.chunk_size)
    inputs, starts, valid = tree_map(as_array, (inputs, call.starts, call.valid))
    return compiled(_run_rule, statics, (inputs, state, initial, starts, valid, weights))


def _run_rule(
    rule: Rule, like: str, name: str, time: int, method: str, chunk_size: int | None,
    inputs: Any, state: Any, initial: Any, starts: Any, valid: Any, weights: Any,
) -> tuple[Any, Any]:  # fmt: skip
    pattern = tree_leaves(inputs[like])[0]
    shape = pattern.shape[: time + 1]
    xp, batch = namespace(pattern), shape[:-1]
    wide = xp.zeros(1, dtype=state_dtype(xp, pattern.dtype))
    inputs = tree_map(lambda x: _fitting(x, wide), inputs)
    zeros = rule.zeros(inputs)
    full = tree_map(lambda z: xp.broadcast_to(asarray_like(z, wide), (*batch, *z.shape)), zeros)
    if initial is None:
        initial = zeros
    else:
        initial = check_state(initial, full, pattern, len(batch), "initial", name)
    if state is None:
        state = full if initial is zeros else initial
    else:
        state = check_state(state, full, pattern, len(batch), "state", name)
    starts = check_flags("starts", starts, pattern, shape, name)
    valid = check_flags("valid", valid, pattern, shape, name)
    if shape[-1] == 0:
        return state, tree_map(lambda x: xp.zeros_like(x, dtype=pattern.dtype), inputs[like])
    call = Call(starts, valid, method, chunk_size)
    params = initial if weights is None else {**weights, "initial": initial}
    state, out = methods.recur(rule, params, inputs, state, call, shape)
    if rule.saturates and wide.dtype != pattern.dtype:
        out = tree_map(lambda o: at_least(float(xp.finfo(pattern.dtype).min), o), out)
    return state, tree_map(lambda o: xp.astype(keep(valid, o), pattern.dtype, copy=False), out)


def _fitting(x: Any, wide: Any) -> Any:
    """``x``, or where its states would have another dtype than ``wide``, in that dtype."""
    xp = namespace(x)
    return x if state_dtype(xp, x.dtype) == wide.dtype else xp.astype(x, wide.dtype)


def at_least(lowest: float, x: Any) -> Any:
    """``x``, or ``lowest`` where x is below it."""
    xp = namespace(x)
    return xp.where(x < lowest, xp.asarray(lowest, dtype=x.dtype), x)


def is_zero(tree: Any) -> bool:
    """Whether a state is known to be zero: NumPy constants, which can be looked at while tracing."""
    return all(isinstance(leaf, np.ndarray) and not leaf.any() for leaf in tree_leaves(tree))


def keep(valid: Any, x: Any, identity: float = 0.0) -> Any:
    """``x`` where ``valid`` (leading axes), else the number that leaves a memory as it is."""
    if valid is None:
        return x
    xp = namespace(x)
    return xp.where(align(valid, x.ndim), x, xp.asarray(identity, dtype=x.dtype))


def as_floats(name: str, x: Any, ndim: int, expected: str) -> Any:
    """``x`` as an array; raises for None, for fewer than ``ndim`` axes, for other than floating point
    numbers."""
    if x is None:
        raise TypeError(f"{name} is None, expected an array {expected}")
    x = as_array(x)
    if x.ndim < ndim:
        raise ValueError(f"{name} has shape {tuple(x.shape)}, expected {expected}")
    if not is_floating(x):
        raise TypeError(f"{name} has dtype {x.dtype}, expected floating point numbers")
    return x


def as_number(name: str, value: Any, instead: str = "") -> float:
    """A Python or NumPy number as a float: it is compiled in, so it is no array."""
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        return float(value)
    kind = "an array" if array_api_compat.is_array_api_obj(value) else repr(value)
    raise TypeError(f"{name} is {kind}, expected a Python number{instead}")


def as_scale(value: Any) -> float:
    """The factor of the queries, as a float."""
    return as_number("scale", value, "; multiply the queries instead")


def check_shape(name: str, x: Any, expected: tuple[int, ...], like: str) -> None:
    """Raise ValueError if ``x`` has another shape than expected."""
    if tuple(x.shape) != tuple(expected):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}, expected {tuple(expected)} to match {like}"
        )


def in_front(name: str, x: Any, of: str, like: Any) -> Any:
    """``x`` with as many axes as ``like``, every one of them like's or 1."""
    x = as_floats(name, x, 0, str(tuple(like.shape)))
    shape = (1,) * (like.ndim - x.ndim) + tuple(x.shape)
    pairs = zip(shape, like.shape, strict=False)
    if len(shape) != like.ndim or any(n not in (1, m) for n, m in pairs):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}, expected one that broadcasts to {of} {tuple(like.shape)}"
        )
    return namespace(x).reshape(x, shape)
