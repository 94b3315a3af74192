"""The Omega rule: a memory that is trained on the last c pairs at every step.

    G_t = sum_{i = t-c+1}^t gamma_i 2 phi(k_i)^T (phi(k_i) S_{t-1} - v_i)
    S_t = keep_t S_{t-1} - rate_t G_t,   o_t = phi(q_t) S_t

ATLAS gives the step a momentum and makes it orthogonal: ``Z_t = momentum_t Z_{t-1} + G_t``,
``S_t = keep_t S_{t-1} - rate_t NS(Z_t)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.backend import namespace
from memcore.cell import Array, Inputs, Params, Starts, State
from memcore.engine.call import Call
from memcore.engine.checks import as_array
from memcore.fields import check_count, count
from memcore.nn import wide
from memcore.ops.arguments import as_floats
from memcore.ops.inner.newton_schulz import orthogonalised
from memcore.ops.inner.rule import InnerRule, headed, run_inner


def polynomial(x: Array, degree: int) -> Array:
    """``[1, x, x (x) x / 2!, ...]`` up to ``degree``; x itself for degree 1."""
    if degree == 1:
        return x
    xp, power = namespace(x), namespace(x).ones_like(x[..., :1])
    found = [power]
    for i in range(1, degree + 1):
        power = power[..., :, None] * x[..., None, :]
        power = xp.reshape(power, (*x.shape[:-1], power.shape[-2] * power.shape[-1]))
        found.append(power / math.factorial(i))
    return xp.concat(found, axis=-1)


def features(size: int, degree: int) -> int:
    """The width of `polynomial` of ``size`` numbers."""
    return size if degree == 1 else sum(size**i for i in range(degree + 1))


@dataclass(frozen=True)
class OmegaRule(InnerRule):
    """Inputs ``q, k, v (..., H, D)`` and ``rate, keep, gamma (..., H)``; the state is S ``(H, F, D)`` and the
    last c - 1 keys, values ``(c - 1, H, D)`` and gammas ``(c - 1, H)``, oldest first. S is zero at starts, or
    the parameter ``weight``.

    Args:
        in_features: D.
        heads: H.
        window: c.
        degree: of the polynomial phi, 1 for none; F is the number of its terms.
    """

    heads: int = count(1)
    window: int = count(1)
    degree: int = count(1)

    rule_name: ClassVar[str] = "omega"

    def initial_state(self, params: Params) -> State:
        h, d, past = self.heads, self.in_features, self.window - 1
        zero = np.zeros((h, features(d, self.degree), d))
        memory = params.get("weight", zero)
        rows = (*memory.shape[:-3], past, h)
        pairs = {n: np.zeros((*rows, d)) for n in "kv"} | {"gamma": np.zeros(rows)}
        return {"memory": memory, **(pairs if past else {})}

    def slope(self, state: State, u: dict[str, Array]) -> tuple[Array, State]:
        """The gradient over the window, and the pairs that the next window has."""
        xp = namespace(u["k"])
        axes = {"k": -3, "v": -3, "gamma": -2}
        pairs = {n: xp.expand_dims(u[n], axis=axis) for n, axis in axes.items()}
        if self.window > 1:
            pairs = {n: xp.concat([state[n], x], axis=axes[n]) for n, x in pairs.items()}
        phi = polynomial(xp.moveaxis(pairs["k"], -3, -2), self.degree)  # (..., H, c, F)
        error = phi @ state["memory"] - xp.moveaxis(pairs["v"], -3, -2)
        gamma = xp.moveaxis(pairs["gamma"], -2, -1)[..., None]
        later = {"k": pairs["k"][..., 1:, :, :], "v": pairs["v"][..., 1:, :, :]}
        later["gamma"] = pairs["gamma"][..., 1:, :]
        return 2.0 * (phi.mT @ (gamma * error)), (later if self.window > 1 else {})

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        u = {name: wide(x) for name, x in inputs.items()}
        slope, later = self.slope(state, u)
        keep, rate = (u[n][..., None, None] for n in ("keep", "rate"))
        return {"memory": keep * state["memory"] - rate * slope, **later}

    def read(self, params: Params, state: State, inputs: Inputs) -> Array:
        phi = polynomial(wide(inputs["q"]), self.degree)
        return (phi[..., None, :] @ state["memory"])[..., 0, :]


@dataclass(frozen=True)
class AtlasRule(OmegaRule):
    """The same with an input ``momentum (..., H)`` and a state ``speed (H, F, D)``, Z."""

    rule_name: ClassVar[str] = "atlas"

    def initial_state(self, params: Params) -> State:
        state = super().initial_state(params)
        return {**state, "speed": np.zeros(state["memory"].shape)}

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        u = {name: wide(x) for name, x in inputs.items()}
        slope, later = self.slope(state, u)
        keep, rate, momentum = (u[n][..., None, None] for n in ("keep", "rate", "momentum"))
        speed = momentum * state["speed"] + slope
        memory = keep * state["memory"] - rate * orthogonalised(speed)
        return {"memory": memory, "speed": speed, **later}


def omega(
    q: Array,
    k: Array,
    v: Array,
    rate: Array,
    keep: Array,
    gamma: Array,
    momentum: Array = None,
    state: State = None,
    *,
    window: int = 1,
    degree: int = 1,
    weight: Array = None,
    starts: Starts = None,
    valid: Array = None,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """The Omega rule with a linear memory (ATLAS, arXiv:2505.23735, equations 9 and 10), token by token, read
    after write; with ``momentum`` that of ATLAS (equations 32 and 33).

        G_t = sum_{i = t-window+1}^t gamma_i 2 phi(k_i)^T (phi(k_i) S_{t-1} - v_i)
        S_t = keep_t S_{t-1} - rate_t G_t,   out_t = phi(q_t) S_t
        with momentum: Z_t = momentum_t Z_{t-1} + G_t,   S_t = keep_t S_{t-1} - rate_t NS(Z_t)

    ``phi(x)`` is x, or ``[1, x, x (x) x / 2!, ...]`` up to ``degree``; NS are five rounds of Newton-Schulz.
    One gamma belongs to a pair, in every window that it is in. NS multiplies small singular values by 485,
    rounding errors among them: with large rates the numbers of two machines part over many steps.

    Args:
        q: ``(..., T, H, D)`` queries.
        k: ``(..., T, H, D)`` keys, used as given; of norm 1 for a stable memory.
        v: ``(..., T, H, D)`` values.
        rate: ``(..., T, H)`` inner learning rates, eta.
        keep: ``(..., T, H)`` in [0, 1], alpha: what multiplies the old memory.
        gamma: ``(..., T, H)`` in [0, 1]: what a pair counts.
        momentum: ``(..., T, H)`` in [0, 1), theta; None for the plain step.
        state: ``{"memory" (..., H, F, D)}``; with a window also the last pairs, oldest first, ``"k"`` and
            ``"v" (..., window - 1, H, D)`` and ``"gamma" (..., window - 1, H)``; with momentum also
            ``"speed"``; None begins with ``weight`` and no pairs.
        window: pairs that a step is trained on, the current one included.
        degree: of the polynomial phi; 1 is none.
        weight: ``(..., H, F, D)``, S at starts; zero if None.
        starts: ``(..., T)`` bool: before step t, the state begins again: no window reaches behind it.
        valid: ``(..., T)`` bool: other steps take no place in a window, and their output is 0.
        method: ``"auto"``, ``"sequential"`` or ``"fused"``, which keeps one state per chunk for the gradient.
        chunk_size: steps per chunk.

    Returns:
        ``(state, out)`` with ``out (..., T, H, D)``; the state of half precision inputs is float32.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    more = {} if momentum is None else {"momentum": momentum}
    inputs = headed(q, k, v, rate=rate, keep=keep, gamma=gamma, **more)
    check_count("window", window)
    check_count("degree", degree)
    heads, size = inputs["q"].shape[-2:]
    kind = OmegaRule if momentum is None else AtlasRule
    rule = kind(size, heads=heads, window=window, degree=degree)
    return run_inner(
        rule,
        _weight(weight, rule, inputs["q"]),
        inputs,
        state,
        Call(starts, valid, method, chunk_size),
    )


def _weight(weight: Array, rule: OmegaRule, q: Array) -> Params:
    """The parameters of the rule."""
    if weight is None:
        return {}
    weight = as_floats("weight", as_array(weight, "weight"), 3, "(..., H, F, D)")
    shape = (rule.heads, features(rule.in_features, rule.degree), rule.in_features)
    if tuple(weight.shape[-3:]) != shape or weight.ndim > q.ndim:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}, expected (..., {', '.join(map(str, shape))}) to match "
            f"q {tuple(q.shape)} and degree {rule.degree}"
        )
    return {"weight": weight}
