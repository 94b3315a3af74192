"""Fast and Forgetful Memory, Morad et al. 2023, arXiv:2310.04128."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.reference import float64, sigmoid


def ffm(
    params: Any, xs: Any, starts: Any = None, norm_first: bool = False, eps: float = 1e-5
) -> Any:
    """xs (T, D) -> ys (T, D): every step is weighted by gamma to the power of its age."""
    p, xs = float64(params), float64(xs)
    log_gamma = -np.abs(p["alpha"])[:, None] + 1j * p["omega"]
    pre, gate_in, gate, skip = (
        xs @ p[n]["kernel"] + p[n]["bias"] for n in ("pre", "input_gate", "output_gate", "skip")
    )
    written, gate = pre * sigmoid(gate_in), sigmoid(gate)
    begins, ys = 0, np.zeros_like(xs)
    for t in range(len(xs)):
        begins = t if starts is not None and starts[t] else begins
        steps = range(begins, t + 1)
        s = sum(np.exp(log_gamma * (t - at)) * written[at][:, None] for at in steps)
        read = np.concatenate([np.real(s), np.imag(s)], axis=1).reshape(-1)
        z = read @ p["mix"]["kernel"] + p["mix"]["bias"]
        z = z if norm_first else z * gate[t]
        z = (z - z.mean()) / np.sqrt(z.var() + eps)
        ys[t] = (z * gate[t] if norm_first else z) + skip[t] * (1 - gate[t])
    return ys


GIVEN = ("alpha", "omega")
CASES = [
    ModelCase("ffm", memcore.FFM(4, traces=3, contexts=2), ffm, given=GIVEN),
    ModelCase(
        "ffm_norm_first",
        memcore.FFM(3, traces=2, contexts=2, norm_first=True),
        lambda p, x, s: ffm(p, x, s, norm_first=True),
        on_jax=False,
        given=GIVEN,
    ),
]
