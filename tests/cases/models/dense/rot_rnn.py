"""RotRNN, Biegun et al. 2024, arXiv:2407.07239."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.dense.spherical import expm_skew
from cases.models.reference import float64


def rot_rnn(params: Any, xs: Any, starts: Any = None) -> Any:
    """xs (T, D) -> ys (T, D), with dense A = P Theta P^T in each head.

    h = gamma A h + sqrt((1 - gamma^2) / tr(B^T B)) B x,  y = sum of C h + d x
    """
    p, xs = float64(params), float64(xs)
    ys = p["d"] * xs
    for m, theta, log, b, c in zip(p["m"], p["theta"], p["gamma_log"], p["b"], p["c"], strict=True):
        gamma, turn = np.exp(-np.exp(log)), np.zeros_like(m)
        for k, (cos, sin) in enumerate(zip(np.cos(theta), np.sin(theta), strict=True)):
            turn[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = [[cos, -sin], [sin, cos]]
        basis = expm_skew(m - m.T)
        a = basis @ turn @ basis.T
        b = b * np.sqrt((1 - gamma**2) / np.trace(b @ b.T))
        h = np.zeros(len(m))
        for t, x in enumerate(xs):
            h = np.zeros(len(m)) if starts is not None and starts[t] else h
            h = gamma * (a @ h) + x @ b
            ys[t] += h @ c
    return ys


CASES = [ModelCase("rot_rnn", memcore.RotRNN(3, state_size=8, heads=2), rot_rnn)]
WRONG = {
    "heads": (lambda: memcore.RotRNN(4, state_size=6, heads=2), r"^heads is 2, expected one that"),
    "gamma": (
        lambda: memcore.RotRNN(4, gamma_min=0.9, gamma_max=0.5),
        r"^gamma_min and gamma_max are 0\.9 and 0\.5, expected",
    ),
}
