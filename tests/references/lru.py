"""Linear Recurrent Unit, Orvieto et al. 2023, arXiv:2303.06349."""

from typing import Any

import numpy as np

from . import float64


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
