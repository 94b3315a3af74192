"""The long-term memory of Titans: gradient descent with momentum and forgetting.

    G_t = gradient of |M(k_t) - v_t|^2 in the weights, at those before the mini-batch
    S_t = eta_t S_{t-1} - theta_t G_t,   W_t = (1 - alpha_t) W_{t-1} + S_t,   o_t = M_{W_t}(q_t)

Inside a mini-batch S and W are linear recurrences in G, so with

    P_ts = prod_{s < j <= t} (1 - alpha_j),   E_ts = prod_{s < j <= t} eta_j,   c = P E diag(theta)
    W_t = a_t W_0 + b_t S_0 - sum_{s <= t} c_ts G_s,   a = P_t0 (1 - alpha_0),   b_t = sum_r P_tr E_r0 eta_0

and ``x W_t = a_t x W_0 + b_t x S_0 - sum_s c_ts (x . x_s) d_s`` (`memcore.ops.inner.mlp`) needs matrix
products only: the weights of a row are never made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from memcore.backend import broadcast_like, namespace, sum_last
from memcore.cell import Array, Inputs, Params, Starts, State
from memcore.engine.call import Call
from memcore.engine.checks import as_array
from memcore.engine.resets import segments, select
from memcore.fields import check_count, flag, number
from memcore.nn import wide
from memcore.ops.arguments import as_floats
from memcore.ops.inner.mini_batches import finite_rows, fold_rows, rows_at_once, sequences, spoiled
from memcore.ops.inner.mlp import Product, backward, forward
from memcore.ops.inner.paths import Paths
from memcore.ops.inner.rule import InnerRule, headed, run_inner
from memcore.types import Value

Layers: TypeAlias = Sequence[Array]
DEPTH = 4
"""The most layers of a memory."""


@dataclass(frozen=True)
class NeuralMemoryRule(InnerRule):
    """Inputs ``q, k, v (..., H, D)`` and ``rate, momentum, forget (..., H)``; parameters ``weights``, a
    tuple of ``(H, in, out)``. The state is ``weights``, ``momentum`` and, with a mini-batch, ``anchor``, the
    weights at which its gradients are taken.

    Args:
        in_features: D.
        mini_batch: rows whose gradients are taken at the same weights.
        residual: whether ``M(x) = x + MLP(x)``.
        max_grad_norm: what the norm of a row's gradient, of all weights of a head, is cut to; None: not.
    """

    residual: bool = flag(False)
    max_grad_norm: float | None = number(None, above=0)

    rule_name: ClassVar[str] = "neural_memory"

    def initial_state(self, params: Params) -> State:
        weights = tuple(params["weights"])
        zeros = tuple(namespace(w).zeros_like(w) for w in weights)
        anchor = {"anchor": weights} if self.mini_batch > 1 else {}
        return {"weights": weights, "momentum": zeros, **anchor}

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        u = {name: wide(x) for name, x in inputs.items()}
        at = state.get("anchor", state["weights"])
        k = u["k"][..., None, :]
        xs, products, z = forward(lambda i, x: x @ at[i], len(at), k)
        error = 2.0 * (self._out(k, z) - u["v"][..., None, :])
        ds = backward(lambda i, d: d @ at[i].mT, products, error)
        rate, momentum, forget = (u[n][..., None, None] for n in ("rate", "momentum", "forget"))
        rate = self._cut(rate, xs, ds)
        moved = zip(state["momentum"], xs, ds, strict=True)
        speed = tuple(momentum * s - rate * (x.mT @ d) for s, x, d in moved)
        both = zip(state["weights"], speed, strict=True)
        return {**state, "weights": tuple((1 - forget) * w + s for w, s in both), "momentum": speed}

    def read(self, params: Params, state: State, inputs: Inputs) -> Array:
        q, weights = wide(inputs["q"])[..., None, :], state["weights"]
        z = forward(lambda i, x: x @ weights[i], len(weights), q)[2]
        return self._out(q, z)[..., 0, :]

    def turn(self, params: Params, state: State) -> State:
        return {**state, "anchor": state["weights"]}

    def _out(self, x: Array, z: Array) -> Array:
        return x + z if self.residual else z

    def _cut(self, rate: Array, xs: list[Array], ds: list[Array]) -> Array:
        """``rate (..., C, 1)`` times what is left of the gradient ``x^T d`` of all layers, of each row."""
        if self.max_grad_norm is None:
            return rate
        xp, most = namespace(rate), self.max_grad_norm
        # Divided one by one: the square of a large bound would overflow.
        layers = zip(xs, ds, strict=True)
        square = sum(sum_last(x * x) / most * sum_last(d * d) / most for x, d in layers)
        return rate / xp.sqrt(xp.maximum(square, xp.ones_like(square)))

    def fused(
        self, params: Params, state: State, inputs: Inputs, starts: Starts, *,
        initial: State = None, valid: Array = None, chunk_size: int | None = None,
        phase: Array = None,
    ) -> tuple[State, Array]:  # fmt: skip
        """By mini-batches, or by as many rows of them as ``chunk_size`` allows."""
        if self.mini_batch == 1:
            how: dict[str, Value] = {"initial": initial, "valid": valid, "chunk_size": chunk_size}
            return super().fused(params, state, inputs, starts, **how)
        fresh = self.initial_state(params) if initial is None else initial
        fresh = broadcast_like(fresh, state)
        inputs = {name: wide(x) for name, x in inputs.items()}

        def body(s: State, u: Inputs, begins: Starts, used: Array) -> tuple[State, Array]:
            return self.rows(s, fresh, u, begins, used)

        size = self.mini_batch
        where: dict[str, Value] = {"phase": phase, "mini_batch": size, "axis": inputs["q"].ndim - 3}
        where["rows"] = rows_at_once(size, chunk_size)
        turned = lambda s: self.turn(params, s)  # noqa: E731
        return fold_rows(body, turned, state, inputs, starts, valid, **where)

    def recall(self, state: State, fresh: State, q: Array, begins: Starts) -> Array:
        """What the weights before the mini-batch give to its rows ``q (*batch, C, H, D)``: those of the
        state, or behind a start in it those of the ``fresh`` state."""
        xp = namespace(q)
        x = xp.moveaxis(q, -2, -3)
        at = _through(state["anchor"], fresh["anchor"], _entering(begins))
        return xp.moveaxis(self._out(x, forward(at, len(state["anchor"]), x)[2]), -3, -2)

    def rows(
        self, state: State, fresh: State, u: Inputs, begins: Starts, used: Array
    ) -> tuple[State, Array]:
        """C rows of one mini-batch, ``(*batch, C, H, ...)``: ``(state, out (*batch, C, H, D))``.

        Each sees those before it in its sequence; ``begins`` are the starts or None, ``used`` the rows that
        count, both ``(*batch, C)``.
        """
        xp = namespace(u["q"])
        q, k, v = (xp.moveaxis(u[n], -2, -3) for n in "qkv")  # (..., H, C, D)
        first, _, pairs = sequences(begins, used)
        entering = _entering(begins)
        at = _through(state["anchor"], fresh["anchor"], entering)
        back = _through([w.mT for w in state["anchor"]], [w.mT for w in fresh["anchor"]], entering)
        xs, products, z = forward(at, len(state["anchor"]), k)
        ds = backward(back, products, 2.0 * (self._out(k, z) - v))
        rate, momentum, forget = (
            xp.moveaxis(u[n], -1, -2)[..., None] for n in ("rate", "momentum", "forget")
        )
        gates = xp.concat([self._cut(rate, xs, ds), momentum, forget], axis=-1)
        good = finite_rows(*xs, *ds, gates)
        wrong = ~good & used[..., None, :]
        counts = good & used[..., None, :]
        xs, ds = ([xp.where(counts[..., None], x, xp.zeros_like(x)) for x in a] for a in (xs, ds))
        paths = Paths.of(gates, counts, first, pairs)

        def own(i: int, x: Array) -> Array:
            """``x W_t``, each row with the weights that it has written last."""
            z = paths.kept * _through(state["weights"], fresh["weights"], entering)(i, x)
            z = z + paths.carried * _through(state["momentum"], None, entering)(i, x)
            return z - paths.writes(x @ xs[i].mT) @ ds[i]

        out = self._out(q, forward(own, len(xs), q)[2])
        entered = state if begins is None else select(first[..., -1], state, fresh)
        after = paths.end(entered, xs, ds)
        out, after = spoiled(wrong, begins, out, after)
        return after, xp.moveaxis(out, -3, -2)


def _entering(begins: Starts) -> Array | None:
    """Which of C rows belong to the sequence that enters, ``(*batch, 1, C, 1)``; None: all do."""
    return None if begins is None else (segments(begins) == 0)[..., None, :, None]


def _through(weights: Layers, fresh: Layers | None, entering: Array | None) -> Product:
    """``x W`` with the ``weights`` for rows of the sequence that enters, and for others with ``fresh`` ones;
    None: 0."""

    def product(i: int, x: Array) -> Array:
        old = x @ weights[i]
        if entering is None:
            return old
        xp = namespace(x)
        return xp.where(entering, old, xp.zeros_like(old) if fresh is None else x @ fresh[i])

    return product


def neural_memory(
    q: Array,
    k: Array,
    v: Array,
    rate: Array,
    momentum: Array,
    forget: Array,
    weights: tuple[Array, ...],
    state: State = None,
    *,
    mini_batch: int = 1,
    starts: Starts = None,
    valid: Array = None,
    residual: bool = False,
    max_grad_norm: float | None = None,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """The long-term memory of Titans (arXiv:2501.00663, equations 9 to 15): a linear map or an MLP per head,
    trained at every step by gradient descent with momentum and forgetting, read after it is written.

        G_t = gradient of |M(k_t) - v_t|^2 in the weights W
        S_t = momentum_t S_{t-1} - rate_t G_t,   W_t = (1 - forget_t) W_{t-1} + S_t,   out_t = M_{W_t}(q_t)

    ``mini_batch`` changes the numbers: all gradients of a mini-batch are taken at the weights before it; 1 is
    the exact recurrence, larger ones are parallel inside. ``chunk_size`` never does: it says how many rows
    are computed at once. Mini-batches stand on a grid: a run may end inside one and go on from its state, and
    a start puts back the initial weights, hides the earlier rows and does not move the grid.

    Args:
        q: ``(..., T, H, D)`` queries.
        k: ``(..., T, H, D)`` keys, used as given; of norm 1 for a stable memory.
        v: ``(..., T, H, D)`` values.
        rate: ``(..., T, H)`` inner learning rates, theta.
        momentum: ``(..., T, H)`` in [0, 1), eta.
        forget: ``(..., T, H)`` in [0, 1], alpha.
        weights: at starts: one matrix ``(H, D, D)``, or up to four layers ``(H, D, F), ..., (H, F, D)`` with
            silu between them; batch axes may stand in front.
        state: what a run returned; None begins with ``weights`` and no momentum.
        mini_batch: rows whose gradients are taken at the same weights.
        starts: ``(..., T)`` bool: before step t, the weights become the initial ones and the momentum zero.
        valid: ``(..., T)`` bool: other steps leave the memory as it is, and their output is 0; they take
            places in a mini-batch.
        residual: whether ``M(x) = x + MLP(x)``.
        max_grad_norm: what the norm of each G_t, of all weights of a head, is cut to (arXiv:1211.5063); None:
            it is not. With it a layer moves by at most ``rate * max_grad_norm / (1 - momentum)`` at a step.
        method: ``"auto"``, ``"sequential"`` or ``"fused"``, which keeps one state per mini-batch.
        chunk_size: rows that ``"fused"`` computes at once, rounded down to a divisor of the mini-batch; with
            a mini-batch of 1, steps per state that is kept for the gradient.

    Returns:
        ``(state, out)`` with ``out (..., T, H, D)``. The state is ``{"weights", "momentum"}``, tuples like
        ``weights``; with a mini-batch it is ``{"phase", "memory"}``, and the memory has ``anchor`` too, the
        weights before the open mini-batch. That of half precision inputs is float32.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    inputs = headed(q, k, v, rate=rate, momentum=momentum, forget=forget)
    check_count("mini_batch", mini_batch)
    params = {"weights": _layers(weights, inputs["q"])}
    rule = NeuralMemoryRule(inputs["q"].shape[-1], mini_batch, residual, max_grad_norm)
    return run_inner(rule, params, inputs, state, Call(starts, valid, method, chunk_size))


def _layers(weights: Value, q: Array) -> tuple[Array, ...]:
    """The layers, each as wide as the one before it ends."""
    heads, size = q.shape[-2:]
    if not isinstance(weights, tuple | list) or not 1 <= len(weights) <= DEPTH:
        raise TypeError(
            f"weights is a {type(weights).__name__}, expected a tuple of 1 to {DEPTH} matrices "
            "(..., H, in, out)"
        )
    layers = tuple(as_floats(f"weights[{i}]", as_array(w, f"weights[{i}]"), 3, "(..., H, in, out)")
                   for i, w in enumerate(weights))  # fmt: skip
    width = size
    for i, w in enumerate(layers):
        out = size if i == len(layers) - 1 else w.shape[-1]
        if tuple(w.shape[-3:]) != (heads, width, out):
            raise ValueError(
                f"weights[{i}] has shape {tuple(w.shape)}, expected (..., {heads}, {width}, {out}) to "
                f"match q {tuple(q.shape)}"
            )
        if w.ndim - 3 > q.ndim - 3:
            raise ValueError(
                f"weights[{i}] has shape {tuple(w.shape)}, expected at most the batch axes of q "
                f"{tuple(q.shape)} in front"
            )
        width = out
    return layers
