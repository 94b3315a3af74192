"""Recurrent Trace Unit, Elelimy et al. 2024, arXiv:2409.01449."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.reference import float64


def rtu(params: Any, xs: Any, starts: Any = None) -> Any:
    """xs (T, in) -> ys (T, 2N): complex units by hand, a ReLU on each part."""
    p, xs = float64(params), float64(xs)
    r, theta = np.exp(-np.exp(p["nu_log"])), np.exp(p["theta_log"])
    norm = np.sqrt(1 - r**2)
    a, b = np.zeros((2, len(r)))
    ys = []
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            a, b = np.zeros((2, len(r)))
        turned = r * np.exp(1j * theta) * (a + 1j * b)
        a = np.maximum(0, turned.real + norm * (x @ p["a"]["kernel"]))
        b = np.maximum(0, turned.imag + norm * (x @ p["b"]["kernel"]))
        ys.append(np.concatenate([a, b]))
    return np.stack(ys)


CASES = [ModelCase("rtu", memcore.RTU(4, hidden_size=3), rtu, NOT_ASSOCIATIVE)]
