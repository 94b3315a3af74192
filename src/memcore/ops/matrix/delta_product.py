"""Products of n delta rules per step: ``S <- a_t S`` and then n writes, one after the other.

The transition ``(I - b_n k_n k_n^T) ... (I - b_1 k_1 k_1^T) a_t`` has rank n beside its decay: with n = 2 and
b in (0, 2) it contains rotations. A step of it is n steps of the delta rule, of which the first alone decays
and the last alone is read: so the fused form runs, and the element is the product of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore.backend import namespace
from memcore.cell import Array, Element, Inputs, Starts, State
from memcore.engine.call import Call
from memcore.ops.arguments import as_floats, as_scale, check_shape
from memcore.ops.matrix.delta_rule import DeltaRule
from memcore.ops.matrix.inputs import decay_of, fade, in_time
from memcore.ops.matrix.transition import TransitionRule
from memcore.ops.run import run_rule
from memcore.types import Reads


@dataclass(frozen=True)
class DeltaProductRule(TransitionRule):
    """Inputs ``q (..., H, K)``, ``k (..., n, H, K)``, ``v (..., n, H, V)``, ``beta (..., n, H)`` and, if
    there is one, ``log_decay (..., H)`` or ``(..., H, K)``; the state is S ``(..., H, K, V)``."""

    names: ClassVar[tuple[str, ...]] = ("q", "k", "v", "beta", "log_decay")
    rule_name: ClassVar[str] = "delta_rule"

    def lift(self, inputs: Inputs) -> Element:
        first, *others = self._writes(inputs)
        if "log_decay" in inputs:
            first["log_decay"] = inputs["log_decay"]
        element = self._single.lift(first)
        for write in others:
            element = self.binary_op(element, self._single.lift(write))
        return element

    def step(self, state: State, inputs: Inputs) -> State:
        decay = decay_of({**inputs, "k": inputs["q"]})
        state = fade(decay, state)
        for write in self._writes(inputs):
            state = self._single.step(state, write)
        return state

    def fused(
        self, state: State, inputs: Inputs, starts: Starts, *, initial: State = None,
        valid: Array = None, chunk_size: int | None = None,
    ) -> tuple[State, Reads]:  # fmt: skip
        """The delta rule over n times as many steps; ``chunk_size`` counts writes."""
        axis, writes = state.ndim - 3, inputs["k"].shape[-3]
        inputs = {
            name: in_time(inputs[name], inputs["k"], axis + 1)
            for name in self.names
            if name in inputs
        }

        def join(x: Array) -> Array:
            """``(..., T, n, *)`` to ``(..., T * n, *)``."""
            shape = (*x.shape[:axis], x.shape[axis] * writes, *x.shape[axis + 2 :])
            return namespace(x).reshape(x, shape)

        def only(place: int, x: Array) -> Array:
            """``x (..., T, *)`` at one of the n places of each step, zeros at the others."""
            xp = namespace(x)
            blank = [xp.zeros_like(x)] * writes
            blank[place] = x
            return join(xp.stack(blank, axis=axis + 1))

        rows = {name: join(inputs[name]) for name in ("k", "v", "beta")}
        rows["q"] = only(-1, inputs["q"])
        if "log_decay" in inputs:
            rows["log_decay"] = only(0, inputs["log_decay"])
        starts = None if starts is None else only(0, starts)
        if valid is not None:
            valid = join(namespace(valid).stack([valid] * writes, axis=-1))
        state, out = self._single.fused(
            state, rows, starts, initial=initial, valid=valid, chunk_size=chunk_size
        )
        shape = (*out.shape[:axis], out.shape[axis] // writes, writes, *out.shape[axis + 1 :])
        return state, namespace(out).reshape(out, shape)[..., -1, :, :]

    @property
    def _single(self) -> DeltaRule:
        """The rule of one write."""
        return DeltaRule(scale=self.scale)

    def _writes(self, inputs: Inputs) -> list[dict[str, Array]]:
        """The inputs of each write of a step, in their order."""
        k, v, beta = inputs["k"], inputs["v"], inputs["beta"]
        return [
            {"k": k[..., j, :, :], "v": v[..., j, :, :], "beta": beta[..., j, :]}
            for j in range(k.shape[-3])
        ]


def delta_product(
    q: Array,
    k: Array,
    v: Array,
    beta: Array,
    log_decay: Array = None,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    initial: State = None,
    scale: float = 1.0,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """DeltaProduct (arXiv:2502.10297): n writes of the delta rule per step, gated or not.

    Args:
        q: ``(..., T, H, K)`` queries.
        k: ``(..., T, n, H, K)`` keys of the n writes, in their order.
        v: ``(..., T, n, H, V)`` values.
        beta: ``(..., T, n, H)`` writing strengths, in (0, 1), or (0, 2) for negative eigenvalues.
        log_decay: ``(..., T, H)`` per head or ``(..., T, H, K)`` per key channel, not positive; it acts
            once a step, before the writes. None is no decay.
        state: ``S (..., H, K, V)``; ``initial`` if None.
        starts: ``(..., T)`` bool: before step t, the state becomes ``initial``.
        valid: ``(..., T)`` bool: other steps leave the state as it is, and their output is 0.
        initial: ``(..., H, K, V)``, the state at each start; zero if None.
        scale: factor of the queries.
        method: ``"auto"``, ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"fused"``.
        chunk_size: steps per chunk of ``"chunked"``; of ``"fused"`` writes, n for each step.

    Returns:
        ``(state, out)`` with ``out (..., T, H, V)``; the state of half precision inputs is float32.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    q, k, v, beta, log_decay = _arrays(q, k, v, beta, log_decay)
    inputs = {"q": q, "k": k, "v": v, "beta": beta}
    if log_decay is not None:
        inputs["log_decay"] = log_decay
    rule = DeltaProductRule(scale=as_scale(scale))
    call = Call(starts, valid, method, chunk_size)
    state, out = run_rule(rule, inputs, "v", -4, state, initial, call)
    return state, out if k.shape[-4] else out[..., -1, :, :]  # of length 0 it looks like the values


def _arrays(q: Array, k: Array, v: Array, beta: Array, log_decay: Array) -> tuple[Array, ...]:
    """The arguments as arrays; raises where they do not fit together."""
    k = as_floats("k", k, 4, "(..., T, n, H, K)")
    like = f"k {tuple(k.shape)}"
    if not k.shape[-3]:
        raise ValueError(f"k has shape {tuple(k.shape)}, expected (..., T, n, H, K) with n >= 1")
    step = (*k.shape[:-3], *k.shape[-2:])
    q = as_floats("q", q, 3, "(..., T, H, K)")
    check_shape("q", q, step, like)
    v = as_floats("v", v, 4, "(..., T, n, H, V)")
    check_shape("v", v, (*k.shape[:-1], v.shape[-1]), like)
    beta = as_floats("beta", beta, 3, "(..., T, n, H)")
    check_shape("beta", beta, k.shape[:-1], like)
    if log_decay is not None:
        log_decay = as_floats("log_decay", log_decay, 0, "(..., T, H) or (..., T, H, K)")
        check_shape("log_decay", log_decay, step[: max(log_decay.ndim, len(step) - 1)], like)
    return q, k, v, beta, log_decay
