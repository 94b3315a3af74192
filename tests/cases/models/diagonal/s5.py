"""S5, Smith et al. 2022, arXiv:2208.04933."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.reference import float64


def s5(
    params: Any, xs: Any, starts: Any = None, state: Any = None,
    bilinear: bool = False, conjugate: bool = True,
) -> tuple[Any, Any]:  # fmt: skip
    """xs (T, D) -> (h (N,) complex, ys (T, D)); h = a h + B' x, y = Re(C h) + d x, pairs 2 Re(C h)."""
    p, xs = float64(params), float64(xs)
    eigenvalue, step = p["lambda_re"] + 1j * p["lambda_im"], np.exp(p["log_step"])
    b, c = p["b_re"] + 1j * p["b_im"], p["c_re"] + 1j * p["c_im"]
    if bilinear:
        half = eigenvalue * step / 2
        a, b = (1 + half) / (1 - half), b * step / (1 - half)
    else:
        a = np.exp(eigenvalue * step)
        b = b * (a - 1) / eigenvalue
    h = np.zeros_like(a) if state is None else np.asarray(state, np.complex128)
    ys = np.zeros_like(xs)
    for t, x in enumerate(xs):
        h = x @ b + (0 if starts is not None and starts[t] else a * h)
        ys[t] = (h @ c).real * (2 if conjugate else 1) + p["d"] * x
    return h, ys


GIVEN = ("lambda_im",)
CASES = [
    ModelCase("s5", memcore.S5(4, state_size=3), lambda p, x, s: s5(p, x, s)[1], given=GIVEN),
    ModelCase(
        "s5_bilinear",
        memcore.S5(3, state_size=4, blocks=2, conjugate=False, discretisation="bilinear"),
        lambda p, x, s: s5(p, x, s, bilinear=True, conjugate=False)[1],
        on_jax=False,
        given=GIVEN,
    ),
]
WRONG = {
    "blocks": (lambda: memcore.S5(4, state_size=6, blocks=4), r"^blocks is 4, expected a divisor"),
    "discretisation": (lambda: memcore.S5(4, discretisation="foh"), r"^discretisation is 'foh'"),
    "dt": (lambda: memcore.S5(4, dt_min=0.2), r"^dt_min and dt_max are 0\.2 and 0\.1, expected"),
}
