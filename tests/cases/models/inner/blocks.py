"""What the references of Miras and OmegaNet share: the block around a memory, token by token."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cases.models.inner.neural_memory import convolved
from cases.models.reference import float64, rms_norm, sigmoid, silu

Step = Callable[[Any, dict[str, Any]], tuple[Any, Any]]
"""``(state, {q, k, v (D,), gates}) -> (state, out (D,))`` of one head."""


def block(
    params: Any, xs: Any, starts: Any, *, heads: int, rate: float, gates: tuple[str, ...],
    fresh: Callable[[Any, int], Any], step: Step,
) -> Any:  # fmt: skip
    """xs (T, heads D) -> ys (T, heads D); ``fresh(params, head)`` is the state at starts."""
    p, xs = float64(params), float64(xs)
    q, k, v = convolved(p, xs, starts, heads)
    raw = {n: xs @ p[n]["kernel"] + p[n]["bias"] for n in gates}
    outs = np.zeros_like(q)
    for h in range(heads):
        state = fresh(p, h)
        for t in range(len(xs)):
            if starts is not None and starts[t]:
                state = fresh(p, h)
            u = {"q": q[t, h], "k": k[t, h], "v": v[t, h]}
            u |= {n: sigmoid(z[t, h]) for n, z in raw.items()}
            u["rate"] = rate * u["rate"]
            if "threshold" in u:
                u["threshold"] = np.logaddexp(0, raw["threshold"][t, h])
            state, outs[t, h] = step(state, u)
    y = rms_norm(outs, p["norm"]["scale"]).reshape(xs.shape) * silu(xs @ p["gate"]["kernel"])
    return y @ p["output"]["kernel"]


def weight(p: Any, head: int) -> Any:
    """The learned weight of a head."""
    return p["weight"][head]


def window_slope(S: Any, pairs: list[Any], phi: Callable[[Any], Any]) -> Any:
    """``sum_i gamma_i 2 phi(k_i)^T (phi(k_i) S - v_i)``."""
    rows = [gamma * 2 * np.outer(phi(k), phi(k) @ S - v) for k, v, gamma in pairs]
    return sum(rows, start=np.zeros_like(S))


def polynomial(degree: int) -> Callable[[Any], Any]:
    """``[1, x, x (x) x / 2]`` for degree 2, x itself for 1."""
    if degree == 1:
        return lambda x: x
    return lambda x: np.concatenate([[1.0], x, np.outer(x, x).reshape(-1) / 2])
