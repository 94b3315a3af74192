"""Promises of DeltaProduct: n writes are n steps of the delta rule, and two of them rotate."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import memcore
from conftest import Backend
from golden_vectors import load
from memcore import ops
from memcore.ops.matrix.delta_product import DeltaProductRule
from models.matrix.transitions import eigenvalues, parity


def product(inputs: Any) -> Any:
    """The element of a whole sequence ``(B, T, ..)``."""
    rule = DeltaProductRule()
    lifted = rule.lift(inputs)
    steps = [tuple(x[:, t, ...] for x in lifted) for t in range(lifted[0].shape[1])]
    return functools.reduce(rule.binary_op, steps)


def test_n_writes_are_n_steps_of_the_delta_rule(backend: Backend, x64: None) -> None:
    rng, n = np.random.default_rng(0), 3
    q, k, v = (rng.normal(size=shape) for shape in ((2, 9, 2, 4), (2, 9, n, 2, 4), (2, 9, n, 2, 3)))
    k, beta = k / np.linalg.norm(k, axis=-1, keepdims=True), rng.uniform(0, 2, (2, 9, n, 2))
    micro = [a.reshape(2, 9 * n, *a.shape[3:]) for a in (k, v, beta)]
    state, out = ops.delta_rule(*backend.asarray((np.repeat(q, n, axis=1), *micro)))
    element = product(backend.asarray({"q": q, "k": k, "v": v, "beta": beta}))
    np.testing.assert_allclose(np.asarray(element[1]), np.asarray(state), atol=1e-12)
    got = ops.delta_product(*backend.asarray((q, k, v, beta)), method="sequential")[1]
    np.testing.assert_allclose(np.asarray(got), np.asarray(out)[:, n - 1 :: n], atol=1e-12)


def test_gated_delta_product_golden(backend: Backend, x64: None) -> None:
    """The rule's element, product of the writes' elements, is the public code's step."""
    _, a = load("gated_delta_product")
    k, v, beta = (
        a[f"in/{n}"].reshape(2, 37, 2, *a[f"in/{n}"].shape[2:]) for n in ("k", "v", "beta")
    )
    inputs = backend.asarray({"q": a["in/q"], "k": k, "v": v, "beta": beta, "log_decay": a["in/g"]})
    state = DeltaProductRule().act(backend.asarray(a["init/S0"]), product(inputs))
    np.testing.assert_allclose(np.asarray(state), a["out_init/S"], atol=1e-9)


def test_parity_and_rotations() -> None:
    small = {"heads": 1, "writes": 1, "key_size": 1, "value_size": 1, "conv_size": 2}
    bits = np.random.default_rng(0).integers(0, 2, (16, 40))
    said = parity(memcore.DeltaProduct(3, **small), bits)
    np.testing.assert_allclose(said, 1 - 2 * (np.cumsum(bits, axis=-1) % 2), atol=1e-3)
    said = parity(memcore.DeltaProduct(3, **small, negative_eigenvalues=False), bits)
    assert np.all(said[:, -1] >= -1e-12)
    two = eigenvalues(memcore.DeltaProduct(6, heads=2, writes=2, key_size=3))
    assert np.abs(two.imag).max() > 0.1 and np.abs(two).max() <= 1 + 1e-12
    one = eigenvalues(memcore.DeltaProduct(6, heads=2, writes=1, key_size=3))
    assert np.abs(one.imag).max() == 0 and one.real.min() < -0.5
    positive = eigenvalues(memcore.DeltaProduct(6, heads=2, writes=1, negative_eigenvalues=False))
    assert positive.real.min() >= -1e-12
