"""Stable Hadamard memory, Le et al. 2024, arXiv:2410.10132."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.reference import float64, sigmoid


def shm(params: Any, xs: Any, starts: Any = None, state: Any = None) -> tuple[Any, Any]:
    """xs (T, in) -> (M (H, H), ys (T, in)), with the first row of theta at every step.

    u = LN(x);  M = M * (1 + tanh(theta (W_c u)^T)) + sigmoid(w . u) v k^T;  y = W_o M q + b
    k, q = relu(.) / (sum(relu(.)) + 1e-5)
    """
    p, xs = float64(params), float64(xs)
    size, norm = p["theta"].shape[1], p["norm"]
    M = np.zeros((size, size)) if state is None else float64(state)
    ys = np.zeros((len(xs), p["output"]["kernel"].shape[1]))
    for t, x in enumerate(xs):
        M = np.zeros_like(M) if starts is not None and starts[t] else M
        u = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * norm["scale"] + norm["bias"]
        names = ("value", "key", "query", "calibration", "strength")
        v, k, q, c, w = (u @ p[name]["kernel"] for name in names)
        k, q = (np.maximum(a, 0) / (np.maximum(a, 0).sum() + 1e-5) for a in (k, q))
        M = M * (1 + np.tanh(np.outer(p["theta"][0], c))) + np.outer(sigmoid(w) * v, k)
        ys[t] = M @ q @ p["output"]["kernel"] + p["output"]["bias"]
    return M, ys


CASES = [ModelCase("shm", memcore.SHM(4, state_size=3, thetas=5), lambda p, x, s: shm(p, x, s)[1])]
WRONG = {"thetas": (lambda: memcore.SHM(4, thetas=0), r"^thetas is 0, expected a positive int")}
