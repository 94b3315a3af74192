"""The eigenvalues of a delta network's transitions, and weights by hand that count modulo 2."""

from typing import Any

import numpy as np

import memcore
from memcore.testing.case import Case


def eigenvalues(model: memcore.Model) -> np.ndarray:
    """Of the transitions of 40 steps, at parameters and inputs of random size."""
    case = Case(model, "numpy", "float64", 40, 3, seed=0)
    cell, params, inputs = case.memoroids()[-1]
    return np.linalg.eigvals(cell.lift(params, inputs)[0]).ravel()


def parity(model: memcore.Model, bits: np.ndarray) -> Any:
    """What a model of 3 inputs (first, 1, sign of the bit), one head, K = V = 1 and one write says after
    each bit: the first step writes 1, a bit of 1 has beta = b(40), one of 0 has b(-40)."""
    first = np.zeros((*bits.shape[:-1], 1))
    sign = np.concatenate([first, 2.0 * bits - 1], axis=-1)
    first = np.concatenate([first + 1, 0.0 * bits], axis=-1)
    xs = np.stack([first, np.ones_like(first), sign], axis=-1)
    rows = {"query": [0, 10, 0], "key": [0, 10, 0], "value": [10, 0, 0], "beta": [0, 0, 40]}
    params = model.init(0, "float64")
    params |= {name: {"kernel": np.array([row], float).T} for name, row in rows.items()}
    params |= {
        f"{name}_conv": {"kernel": np.array([[0.0], [1.0]])} for name in rows if name != "beta"
    }
    params["output"] = {"kernel": np.array([[1.0, 0.0, 0.0]])}
    return model.apply(params, xs)[1][..., 1:, 0]
