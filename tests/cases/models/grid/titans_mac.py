"""Titans, memory as context, Behrouz et al. 2025, arXiv:2501.00663, section 4.1."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.inner.neural_memory import forward, slopes
from cases.models.reference import float64, rms_norm, sigmoid, silu
from cases.models.window.attention import rope


def titans_mac(
    p: Any, xs: Any, starts: Any, *, heads: int, segment: int, rate: float, max_grad_norm: float
) -> Any:
    """xs (T, heads D) -> ys (T, heads D), from the beginning of the grid, token by token."""
    p, xs = float64(p), float64(xs)
    a, m = p["attention"], p["memory"]

    def of(u: Any, params: Any) -> Any:
        return (u @ params["kernel"]).reshape(*u.shape[:-1], heads, -1)

    def unit(u: Any) -> Any:
        return u / np.sqrt(np.sum(u * u, axis=-1, keepdims=True) + 1e-6)

    def said(memories: Any, u: Any) -> Any:
        q = unit(silu(of(u, m["query"])))
        found = [forward(memories[h], q[h], True)[0] for h in range(heads)]
        return rms_norm(np.stack(found), m["norm"]["scale"]).reshape(-1) @ m["output"]["kernel"]

    fresh = [[m["weights"][n][h] for n in sorted(m["weights"])] for h in range(heads)]
    still = [[0 * w for w in W] for W in fresh]
    M, S, anchor = list(fresh), list(still), list(fresh)
    tokens: list[Any] = []
    ys = np.zeros_like(xs)
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            M, S, anchor, tokens = list(fresh), list(still), list(fresh), []
        tokens = [*tokens, (said(anchor, x), x)]
        rows = np.stack([*p["persistent"], *(h for h, _ in tokens), *(x for _, x in tokens)])
        n, count = len(p["persistent"]), len(tokens)
        k, v, q = of(rows, a["key"]), of(rows, a["value"]), of(x, a["query"])
        places = [0] * n + 2 * list(range(count))
        scores = np.empty((heads, len(rows)))
        for i, place in enumerate(places):
            one, two = (q, k[i]) if i < n else (rope(q, count - 1), rope(k[i], place))
            scores[:, i] = np.sum(one * two, axis=-1) * q.shape[-1] ** -0.5
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares = shares / shares.sum(axis=-1, keepdims=True)
        y = np.einsum("hn,nhv->hv", shares, v).reshape(-1) @ a["output"]["kernel"]
        key, value = unit(silu(of(y, m["key"]))), silu(of(y, m["value"]))
        gates = (sigmoid(y @ m[g]["kernel"] + m[g]["bias"]) for g in ("rate", "momentum", "forget"))
        theta, eta, alpha = gates
        for h in range(heads):
            G = slopes(anchor[h], key[h], value[h], True, max_grad_norm)
            S[h] = [eta[h] * s - rate * theta[h] * g for s, g in zip(S[h], G, strict=True)]
            M[h] = [(1 - alpha[h]) * w + s for w, s in zip(M[h], S[h], strict=True)]
        gate = silu(rms_norm(said(M, y), p["gate_norm"]["scale"]))
        ys[t] = rms_norm(y, p["norm"]["scale"]) * gate
        if t % segment == segment - 1:
            anchor, tokens = list(M), []
    return ys


def _case(name: str, on_jax: bool, **how: Any) -> ModelCase:
    model = memcore.TitansMAC(4, heads=2, **how)
    used: Any = {n: getattr(model, n) for n in ("heads", "segment", "rate", "max_grad_norm")}
    return ModelCase(
        name, model, lambda p, x, s: titans_mac(p, x, s, **used), NOT_ASSOCIATIVE, on_jax
    )


CASES = [
    _case("titans_mac", True, segment=4, persistent=2, hidden_size=3),
    _case("titans_mac_linear", False, segment=3, persistent=1, depth=1, rate=0.2),
]
WRONG = {
    "heads": (lambda: memcore.TitansMAC(10), r"^heads is 4, expected a divisor"),
    "segment": (lambda: memcore.TitansMAC(8, segment=1), r"^segment is 1, expected an int of at"),
    "depth": (lambda: memcore.TitansMAC(8, depth=5), r"^depth is 5, expected at most 4"),
    "size": (lambda: memcore.TitansMAC(12), r"^position is 'rope', which needs an even key size"),
}
