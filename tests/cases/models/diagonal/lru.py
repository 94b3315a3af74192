"""Linear Recurrent Unit, Orvieto et al. 2023, arXiv:2303.06349."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.reference import float64


def lru(params: Any, xs: Any, starts: Any = None, state: Any = None) -> tuple[Any, Any]:
    """xs (T, in) -> (h (N,) complex, ys (T, in)).

    lambda = exp(-exp(nu_log) + i exp(theta_log)),  B = b_re + i b_im (in, N),  C likewise (N, in)
    h_t = lambda * h_{t-1} + exp(gamma_log) * (x_t B)
    y_t = Re(h_t C) + d * x_t
    """
    p, xs = float64(params), float64(xs)
    decay = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    b, c = p["b_re"] + 1j * p["b_im"], p["c_re"] + 1j * p["c_im"]
    h = np.zeros_like(decay) if state is None else np.asarray(state, np.complex128)
    ys = np.zeros_like(xs)
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            h = np.zeros_like(decay)
        h = decay * h + np.exp(p["gamma_log"]) * (x @ b)
        ys[t] = (h @ c).real + p["d"] * x
    return h, ys


def ys(params: Any, xs: Any, starts: Any) -> Any:
    return lru(params, xs, starts)[1]


CASES = [ModelCase("lru", memcore.LRU(5, state_size=6), ys)]
SHAPES = [ModelCase("lru", memcore.LRU(6, state_size=5), ys)]
WRONG = {
    "state_size": (lambda: memcore.LRU(4, state_size=0), r"^state_size is 0, expected a positive"),
    "ring": (lambda: memcore.LRU(4, r_min=0.9, r_max=0.5), r"^r_min and r_max are 0\.9 and 0\.5"),
    "ring beyond 1": (
        lambda: memcore.LRU(4, r_max=1.5),
        r"^r_max is 1\.5, expected a number above 0",
    ),
    "phase": (lambda: memcore.LRU(4, max_phase=-1.0), r"^max_phase is -1\.0, expected"),
}
