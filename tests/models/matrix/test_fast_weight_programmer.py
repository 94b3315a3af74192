"""Promises of the fast weight programmer: golden vectors of the rule, and that order does not matter."""

from __future__ import annotations

import numpy as np

import memcore


def test_what_is_written_adds_up_in_any_order() -> None:
    model, rng = memcore.FastWeightProgrammer(8, heads=2), np.random.default_rng(0)
    params, xs = model.init(0, "float64"), rng.normal(size=(11, 8))
    state, ys = model.apply(params, xs)
    other, _ = model.apply(params, xs[rng.permutation(11)])
    np.testing.assert_allclose(state, other, atol=1e-12)
    assert not np.allclose(model.apply(params, 2 * xs)[0], state)


def test_it_is_linear_attention_without_its_divisor() -> None:
    """Times ``z . q`` the outputs of linear attention with the same weights are its own."""
    programmer, attention = (
        memcore.FastWeightProgrammer(6, heads=1),
        memcore.LinearAttention(6, heads=1),
    )
    params, xs = attention.init(0, "float64"), np.random.default_rng(1).normal(size=(9, 6))
    q, k = (xs @ params[name]["kernel"] for name in ("query", "key"))
    q, k = (np.where(a > 0, a + 1, np.exp(np.minimum(a, 0))) for a in (q, k))
    divisor = np.sum(np.cumsum(k, axis=0) * q, axis=-1, keepdims=True) + 1e-10
    want = attention.apply(params, xs)[1] * divisor
    np.testing.assert_allclose(programmer.apply(params, xs)[1], want, atol=1e-10)
