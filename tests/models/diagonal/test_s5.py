"""S5: golden vectors, where it begins, and what conjugate pairs mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend
from golden_vectors import load


def close(got: Any, want: Any, atol: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=atol)


@pytest.mark.parametrize("discretisation", ["zoh", "bilinear"])
def test_s5_golden(discretisation: str, backend: Backend, x64: None) -> None:
    _, a = load(f"s5_{discretisation}")
    params = {n.lower(): a[f"param/{n}"].T for n in ("B_re", "B_im", "C_re", "C_im")}
    params |= {n.lower(): a[f"param/{n}"] for n in ("Lambda_re", "Lambda_im", "log_step")}
    params["d"] = a["param/Dskip"]
    model = memcore.S5(5, state_size=6, conjugate=False, discretisation=discretisation)
    start = (a["init/x0_re"], a["init/x0_im"])
    for out, state in (("out", tuple(map(np.zeros_like, start))), ("out_init", start)):
        h, ys = model.apply(*backend.asarray((params, a["in/u"], state)))
        close(ys, a[f"{out}/y"])
        close(np.asarray(h[0]) + 1j * np.asarray(h[1]), a[f"{out}/x"])


def test_it_begins_as_hippo_n() -> None:
    """Lambda are the eigenvalues of the normal part of HiPPO-LegS, one of each pair, again in each block."""
    n = np.arange(8)
    legs = -np.tril(np.sqrt(np.outer(2 * n + 1, 2 * n + 1)), -1) - np.diag(n + 1.0)
    rank_one = np.sqrt(n + 0.5)
    want = np.linalg.eigvals(legs + np.outer(rank_one, rank_one))
    want = want[want.imag < 0]
    p = memcore.S5(3, state_size=8, blocks=2).init(0, "float64")
    got = (p["lambda_re"] + 1j * p["lambda_im"]).reshape(2, 4)
    for block in got:
        close(np.sort(block.imag), np.sort(want.imag))
        close(block.real, np.full(4, -0.5))
    assert np.all(np.exp(p["log_step"]) >= 1e-3) and np.all(np.exp(p["log_step"]) <= 1e-1)


def test_a_pair_is_both_of_its_states() -> None:
    half = memcore.S5(3, state_size=4)
    p = half.init(0, "float64")
    signs = {"lambda_im": -1, "b_im": -1, "c_im": -1}
    axis = {"b_re": 1, "b_im": 1}
    both = {
        n: x if n == "d" else np.concatenate([x, signs.get(n, 1) * x], axis=axis.get(n, 0))
        for n, x in p.items()
    }
    xs = np.random.default_rng(0).normal(size=(30, 3))
    whole = memcore.S5(3, state_size=8, conjugate=False)
    close(whole.apply(both, xs)[1], half.apply(p, xs)[1])


def test_a_smaller_step_of_a_slower_input_is_the_same() -> None:
    """ZOH is exact for inputs that stand still: half the step, every input twice."""
    model = memcore.S5(3, state_size=4)
    p = model.init(0, "float64")
    xs = np.random.default_rng(0).normal(size=(20, 3))
    slow = {**p, "log_step": p["log_step"] - np.log(2)}
    close(model.apply(slow, np.repeat(xs, 2, axis=0))[1][1::2], model.apply(p, xs)[1])
