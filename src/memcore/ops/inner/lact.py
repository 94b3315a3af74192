"""LaCT: a gated MLP that is trained once per chunk, on all of it.

    f(x) = w1 (silu(w0 x) * (w2 x)),   o_t = f(q_t) at the weights before the chunk
    at its end: w += sum_i rate_i d(f(k_i) . v_i)/dw, and every row gets back the norm that it has at starts

A chunk reads before it writes, so that no row sees its own chunk. With momentum a chunk's sum goes on into
those behind it; with Muon it is made orthogonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore.backend import broadcast_like, namespace, sigmoid
from memcore.cell import Array, Inputs, Params, Starts, State
from memcore.engine.call import Call
from memcore.engine.checks import as_array
from memcore.engine.resets import select
from memcore.fields import check_count, flag
from memcore.nn import silu, wide
from memcore.ops.arguments import as_floats, check_shape
from memcore.ops.inner.mini_batches import finite_rows, fold_rows, rows_at_once, sequences, spoiled
from memcore.ops.inner.mlp import silu_slope
from memcore.ops.inner.newton_schulz import LACT, orthogonalised
from memcore.ops.inner.rule import InnerRule, headed, run_inner
from memcore.types import Value

NAMES = ("w0", "w1", "w2")
EPS = 1e-5
"""Added to the norm of a row."""


def mapped(weights: State, x: Array) -> Array:
    """``f`` of rows ``(..., H, C, D)``."""
    return (silu(x @ weights["w0"].mT) * (x @ weights["w2"].mT)) @ weights["w1"].mT


def slopes(weights: State, k: Array, v: Array) -> dict[str, tuple[Array, Array]]:
    """The gradients of ``f(k) . v`` of rows, each as the two factors of an outer product."""
    a, b = k @ weights["w0"].mT, k @ weights["w2"].mT
    d = v @ weights["w1"]
    gate = a * sigmoid(a)
    return {"w0": (d * b * silu_slope(a), k), "w1": (v, gate * b), "w2": (d * gate, k)}


def row_norms(w: Array) -> Array:
    """``(..., rows, 1)``."""
    xp = namespace(w)
    return xp.sqrt(xp.sum(w * w, axis=-1, keepdims=True))


@dataclass(frozen=True)
class LaCTRule(InnerRule):
    """Inputs ``q, k, v (..., H, D)``, ``rate (..., H, 3)`` of w0, w1 and w2, and with momentum ``momentum
    (..., H)``; parameters ``w0, w2 (H, F, D)`` and ``w1 (H, D, F)``. The state is ``weights``, those before
    the open chunk, and ``sums``, its gradients so far; with momentum also ``speed``, the sum that the chunks
    before left, and ``gate (H,)``, the open chunk's momentum summed over its ``rows (H,)``.

    Args:
        in_features: D.
        mini_batch: rows of a chunk.
        momentum: whether sums go on, by the mean of the chunk's momentum.
        muon: whether what is added to the weights is made orthogonal.
    """

    momentum: bool = flag(False)
    muon: bool = flag(False)

    rule_name: ClassVar[str] = "lact"

    @property
    def has_turn(self) -> bool:
        return True

    def initial_state(self, params: Params) -> State:
        weights = {name: params[name] for name in NAMES}
        zeros = {n: 0 * w for n, w in weights.items()}
        state = {"weights": weights, "sums": zeros}
        if self.momentum:
            none = zeros["w0"][..., 0, 0]
            state |= {"speed": zeros, "gate": none, "rows": none}
        return state

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        k, v = (wide(inputs[n])[..., None, :] for n in "kv")
        rate = wide(inputs["rate"])[..., None, None, :]
        found, sums = slopes(state["weights"], k, v), {}
        for i, (name, (a, b)) in enumerate(found.items()):
            sums[name] = state["sums"][name] + (rate[..., i] * a).mT @ b
        after = {**state, "sums": sums}
        if self.momentum:
            after |= {"gate": state["gate"] + wide(inputs["momentum"]), "rows": state["rows"] + 1}
        return after

    def read(self, params: Params, state: State, inputs: Inputs) -> Array:
        return mapped(state["weights"], wide(inputs["q"])[..., None, :])[..., 0, :]

    def turn(self, params: Params, state: State) -> State:
        xp, moves, after = namespace(state["weights"]["w0"]), state["sums"], dict(state)
        after["sums"] = {n: xp.zeros_like(w) for n, w in moves.items()}
        if self.momentum:
            rows = state["rows"]
            mean = (state["gate"] / xp.maximum(rows, xp.ones_like(rows)))[..., None, None]
            moves = {n: move + mean * state["speed"][n] for n, move in moves.items()}
            after |= {"speed": moves, "gate": xp.zeros_like(rows), "rows": xp.zeros_like(rows)}
        after["weights"] = {
            n: self._moved(w, moves[n], params[n]) for n, w in state["weights"].items()
        }
        return after

    def _moved(self, w: Array, move: Array, first: Array) -> Array:
        """``w + move``, with the norms that the rows of ``first`` have."""
        w = w + (orthogonalised(move, LACT) if self.muon else move)
        return w / (row_norms(w) + EPS) * row_norms(namespace(w).astype(first, w.dtype, copy=False))

    def fused(
        self, params: Params, state: State, inputs: Inputs, starts: Starts, *,
        initial: State = None, valid: Array = None, chunk_size: int | None = None,
        phase: Array = None,
    ) -> tuple[State, Array]:  # fmt: skip
        """By mini-batches, or by as many rows of them as ``chunk_size`` allows."""
        fresh = self.initial_state(params) if initial is None else initial
        fresh = broadcast_like(fresh, state)
        inputs = {name: wide(x) for name, x in inputs.items()}

        def body(s: State, u: Inputs, begins: Starts, used: Array) -> tuple[State, Array]:
            return _rows(s, fresh, u, begins, used)

        size = self.mini_batch
        where: dict[str, Value] = {"phase": phase, "mini_batch": size, "axis": inputs["q"].ndim - 3}
        where["rows"] = rows_at_once(size, chunk_size)
        turned = lambda s: self.turn(params, s)  # noqa: E731
        return fold_rows(body, turned, state, inputs, starts, valid, **where)


def _rows(
    state: State, fresh: State, u: Inputs, begins: Starts, used: Array
) -> tuple[State, Array]:
    """C rows of one chunk, ``(*batch, C, H, ...)``."""
    xp = namespace(u["q"])
    q, k, v = (xp.moveaxis(u[n], -2, -3) for n in "qkv")  # (..., H, C, D)
    rate = xp.moveaxis(u["rate"], -2, -3)
    gate = xp.moveaxis(u["momentum"], -1, -2)[..., None] if "momentum" in u else rate[..., :1]
    first, last, _ = sequences(begins, used)
    entering = first[..., None, :, None]
    out, found = mapped(state["weights"], q), slopes(state["weights"], k, v)
    if begins is not None:
        out = xp.where(entering, out, mapped(fresh["weights"], q))
        new = slopes(fresh["weights"], k, v)
        found = {
            n: tuple(xp.where(entering, a, b) for a, b in zip(found[n], new[n], strict=True))
            for n in found
        }  # type: ignore[misc]
    good = finite_rows(rate, gate, *(x for pair in found.values() for x in pair))
    counts = (good & (used & last)[..., None, :])[..., None]
    entered = state if begins is None else select(first[..., -1], state, fresh)
    after = {**entered, "sums": {}}
    for i, (name, pair) in enumerate(found.items()):
        moved = rate[..., i : i + 1] * pair[0]
        a, b = (xp.where(counts, x, xp.zeros_like(x)) for x in (moved, pair[1]))
        after["sums"][name] = entered["sums"][name] + a.mT @ b
    if "momentum" in u:
        for name, x in (("gate", gate), ("rows", xp.ones_like(gate))):
            counted = xp.where(counts, x, xp.zeros_like(x))
            after[name] = entered[name] + xp.sum(counted, axis=(-2, -1))
    wrong = ~good & used[..., None, :]
    # what a chunk has written is not read inside it: a wrong row spoils the state, and its own output
    _, after = spoiled(wrong, begins, out, after)
    return after, xp.moveaxis(out, -3, -2)


def lact(
    q: Array,
    k: Array,
    v: Array,
    rate: Array,
    w0: Array,
    w1: Array,
    w2: Array,
    state: State = None,
    *,
    mini_batch: int = 64,
    momentum: Array = None,
    muon: bool = False,
    starts: Starts = None,
    valid: Array = None,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """The large-chunk test-time training of LaCT (arXiv:2505.23884).

        f(x) = w1 (silu(w0 x) * (w2 x)),   out_t = f(q_t) at the weights before the chunk
        at its end: w += G, G = sum_i rate_i d(f(k_i) . v_i)/dw; every row gets back its norm at starts
        with momentum: G += m G of the chunk before, m the mean of the chunk's momentum
        with muon: w += NS(G), five rounds of Newton-Schulz

    ``mini_batch`` is the chunk, and changes the numbers; ``chunk_size`` says how many rows are computed at
    once and never does. Chunks stand on a grid; every whole one updates, the last one too, and one that is
    not whole stays open in the state. A row never reads its own chunk, nor what stands before a start.

    Args:
        q: ``(..., T, H, D)`` queries.
        k: ``(..., T, H, D)`` keys, used as given.
        v: ``(..., T, H, D)`` values.
        rate: ``(..., T, H)`` inner learning rates, or ``(..., T, H, 3)``: of w0, w1 and w2.
        w0: ``(..., H, F, D)``, the gate's weights at starts.
        w1: ``(..., H, D, F)``, the output's.
        w2: ``(..., H, F, D)``.
        state: ``{"phase", "memory": {"weights", "sums"}}``, each with ``w0, w1, w2``; without the phase for a
            mini-batch of 1; with momentum also ``"speed"``, like them, ``"gate"`` and ``"rows" (..., H)``;
            None begins with the weights at starts.
        mini_batch: rows that update together.
        momentum: ``(..., T, H)`` in [0, 1); None for none.
        muon: whether what is added to the weights is made orthogonal.
        starts: ``(..., T)`` bool: before step t, the weights become the initial ones.
        valid: ``(..., T)`` bool: other steps write nothing, and their output is 0; they take places in a
            chunk.
        method: ``"auto"``, ``"sequential"`` or ``"fused"``, which keeps one state per chunk.
        chunk_size: rows that ``"fused"`` computes at once, rounded down to a divisor of the mini-batch.

    Returns:
        ``(state, out)`` with ``out (..., T, H, D)``; the state of half precision inputs is float32.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    inputs = _inputs(q, k, v, rate, momentum)
    check_count("mini_batch", mini_batch)
    heads, size = inputs["q"].shape[-2:]
    params = {n: as_floats(n, as_array(w, n), 3, "(..., H, F, D)")
              for n, w in (("w0", w0), ("w1", w1), ("w2", w2))}  # fmt: skip
    lead, width = params["w0"].shape[:-3], params["w0"].shape[-2]
    like = f"q {tuple(inputs['q'].shape)} and each other"
    for name, shape in (("w0", (width, size)), ("w1", (size, width)), ("w2", (width, size))):
        check_shape(name, params[name], (*lead, heads, *shape), like)
    rule = LaCTRule(size, mini_batch, momentum is not None, muon)
    return run_inner(rule, params, inputs, state, Call(starts, valid, method, chunk_size))


def _inputs(q: Array, k: Array, v: Array, rate: Array, momentum: Array) -> dict[str, Array]:
    """The inputs of the rule; one rate for all matrices becomes three."""
    gates = {} if momentum is None else {"momentum": momentum}
    rate = as_array(rate, "rate")
    if getattr(rate, "ndim", 0) != getattr(as_array(q, "q"), "ndim", 0):
        inputs = headed(q, k, v, rate=rate, **gates)
        inputs["rate"] = namespace(inputs["q"]).stack([inputs["rate"]] * 3, axis=-1)
        return inputs
    inputs = headed(q, k, v, **gates)
    rate = as_floats("rate", rate, 3, "(..., T, H, 3)")
    check_shape("rate", rate, (*inputs["q"].shape[:-1], 3), f"q {tuple(inputs['q'].shape)}")
    return {**inputs, "rate": rate}
