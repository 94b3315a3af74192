"""Models beside references of a second hand, with the parameters that the models draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend
from models import second_hand as other

T, STARTS = 23, np.isin(np.arange(23), (5, 12, 13))
EPS = {"l2_eps": 1e-6, "norm_eps": 1e-6}


def rot_rnn(p: Any, xs: Any) -> Any:
    b, c = np.moveaxis(p["b"], 1, 2), {"kernel": np.reshape(p["c"], (-1, p["d"].shape[0]))}
    return other.rot_rnn({**p, "b": b, "c": c}, xs, STARTS, 2)


def delta_product(gated: bool) -> Callable[[Any, Any], Any]:
    def run(p: Any, xs: Any) -> Any:
        p = {**p, "a_log": p.get("A_log")}
        return other.delta_product(p, xs, STARTS, 2, 3, gated, True, **EPS)

    return run


def neural_memory(depth: int, mini_batch: int, residual: bool) -> Callable[[Any, Any], Any]:
    def run(p: Any, xs: Any) -> Any:
        layers = [p["weights"][f"layer_{i}"] for i in range(depth)]
        p = {**p, "step": p["rate"], "decay": p["forget"], "memory": layers}
        how: Any = {"residual": residual, **EPS}
        return other.neural_memory(p, xs, STARTS, 2, mini_batch, 0.1, depth, **how)

    return run


CASES: dict[str, tuple[memcore.Model, Callable[[Any, Any], Any]]] = {
    "rot_rnn": (memcore.RotRNN(6, heads=2, state_size=8), rot_rnn),
    "segment_attention": (
        memcore.SegmentAttention(8, heads=2, segment=4),
        lambda p, xs: other.segment_attention(p, xs, STARTS, 2, 4),
    ),
    "fast_weight_programmer": (
        memcore.FastWeightProgrammer(8, heads=2),
        lambda p, xs: other.fast_weight_programmer(p, xs, STARTS, 2),
    ),
    "dlse": (memcore.DLSE(8, heads=2), lambda p, xs: other.dlse(p, xs, STARTS, 2, eps=1e-6)),
    "delta_net": (
        memcore.DeltaNet(8, heads=2),
        lambda p, xs: other.delta_net(p, xs, STARTS, 2, False, **EPS),
    ),
    "delta_net_negative": (
        memcore.DeltaNet(8, heads=2, negative_eigenvalues=True),
        lambda p, xs: other.delta_net(p, xs, STARTS, 2, True, **EPS),
    ),
    "delta_product": (memcore.DeltaProduct(8, heads=2, writes=3), delta_product(False)),
    "delta_product_gated": (
        memcore.DeltaProduct(8, heads=2, writes=3, gated=True),
        delta_product(True),
    ),
    **{
        f"neural_memory_{depth}_{size}_{residual}": (
            memcore.NeuralMemory(8, heads=2, depth=depth, mini_batch=size, residual=residual),
            neural_memory(depth, size, residual),
        )
        for depth, size, residual in ((1, 1, False), (2, 4, True), (3, 5, True), (2, 4, False))
    },
}


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", CASES)
def test_the_numbers_of_another_hand(name: str, backend: Backend) -> None:
    model, reference = CASES[name]
    params = model.init(4, "float64")
    xs = np.random.default_rng(0).normal(size=(T, model.in_features))
    _, ys = model.apply(params, xs, starts=STARTS)
    np.testing.assert_allclose(ys, reference(params, xs), rtol=0, atol=1e-11 * np.abs(ys).max())


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("window", [1, 3])
def test_the_step_of_atlas(window: int, backend: Backend) -> None:
    """Three steps: the orthogonalisation multiplies rounding errors by up to 485 in each."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(3, 2, 4)) for _ in range(3))
    rate, keep, gamma, momentum = (rng.uniform(0.1, 0.9, (3, 2)) for _ in range(4))
    _, got = memcore.ops.omega(q, k, v, rate, keep, gamma, momentum, window=window)
    memory, speed = np.zeros((2, 2, 4, 4))
    for t in range(3):
        for h in range(2):
            slope = np.zeros((4, 4))
            for i in range(max(0, t - window + 1), t + 1):
                error = k[i, h] @ memory[h] - v[i, h]
                slope += gamma[i, h] * 2 * np.outer(k[i, h], error)
            args = memory[h], speed[h], slope, keep[t, h], momentum[t, h], rate[t, h]
            memory[h], speed[h] = other.atlas_step(*args)
        want = np.einsum("hkv,hk->hv", memory, q[t])
        np.testing.assert_allclose(got[t], want, atol=1e-6)
