"""Running softmax: golden vectors, full attention of one query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from cases.checks import METHODS, close
from cases.ops import BATCH, HEADS, VALUES
from conftest import Backend
from golden_vectors import load
from memcore import ops
from memcore.backend import namespace
from memcore.engine.call import Call
from memcore.ops.run import run_rule
from memcore.ops.semiring.softmax import SoftmaxRule

FLOOR = -1e38


@pytest.mark.parametrize("method", METHODS)
def test_golden_aaren(method: str, backend: Backend, x64: None) -> None:
    entry, a = load("aaren")
    k, v = a["in/k"], a["in/v"]
    scores = np.einsum("hk,bthk->bth", a["param/q"], k) * k.shape[-1] ** -0.5
    start = (a["init/m0"], a["init/c0"], a["init/a0"])
    for out, state in (("out", None), ("out_init", start)):
        got = ops.softmax(
            *backend.asarray((scores, v)),
            state=backend.asarray(state),
            method=method,
            chunk_size=16,
        )
        want = tuple(a[f"{out}/{n}"] for n in "mca")
        close(got, (want, a[f"{out}/o"]), entry["tolerance"]["float64_impl"])


@dataclass(frozen=True)
class Wkv(SoftmaxRule):
    """RWKV-4's read: the memory before this step, and this step's value with a bonus."""

    reads_previous = True

    def read(self, state: Any, inputs: Any) -> Any:
        m, u, w = state
        xp = namespace(m)
        now = inputs["bonus"] + inputs["scores"]
        top = xp.maximum(m, now)
        old, new = xp.exp(m - top), xp.exp(now - top)
        weighted = old[..., None] * w + new[..., None] * inputs["v"]
        return weighted / (old * u + new)[..., None]


def wkv() -> tuple[dict[str, Any], dict[str, np.ndarray], Any]:
    """The entry, the inputs of the rule (a head per channel), and the state that it begins with."""
    entry, a = load("rwkv4_wkv")
    inputs = {
        "scores": a["in/k"],
        "v": a["in/v"][..., None],
        "log_decay": -np.exp(a["param/time_decay"])[None, None],
        "bonus": a["param/time_first"][None, None],
    }
    return entry, inputs, (a["init/max0"], a["init/den0"], a["init/num0"][..., None])


@pytest.mark.parametrize("method", METHODS[:3])
def test_golden_wkv(method: str, backend: Backend, x64: None) -> None:
    entry, inputs, start = wkv()
    a = load("rwkv4_wkv")[1]
    for out, state in (("out", None), ("out_init", start)):
        (m, u, w), o = run_rule(
            Wkv(), backend.asarray(inputs), "v", -3, backend.asarray(state), None,
            Call(method=method, chunk_size=16),
        )  # fmt: skip
        want = tuple(a[f"{out}/{n}"] for n in ("max", "den", "num", "o"))
        close((m, u, w[..., 0], o[..., 0]), want, entry["tolerance"]["float64_impl"])


@pytest.mark.parametrize("start", ["out", "out_init"])
def test_golden_wkv_from_two_rules(start: str, backend: Backend, x64: None) -> None:
    """The mean before this step has the weight of its log-sum-exp, the current value its own."""
    entry, inputs, (m, u, w) = wkv()
    want = load("rwkv4_wkv")[1][f"{start}/o"]
    if start == "out":
        m, u, w = np.full_like(m, FLOOR), np.zeros_like(u), np.zeros_like(w)
    k, v, decay = (inputs[n] for n in ("scores", "v", "log_decay"))
    before = np.where(u > 0, m + np.log(np.where(u > 0, u, 1)), FLOOR)
    first = np.where(u > 0, w[..., 0] / np.where(u > 0, u, 1), 0)
    arrays = backend.asarray((k, v, decay[0, 0], (m, u, w)))
    _, o = ops.softmax(*arrays, method="fused", chunk_size=16)
    _, z = ops.log_sum_exp(*backend.asarray((k, decay[0, 0], before)), method="fused")
    o = np.concatenate([first[:, None], np.asarray(o)[:, :-1, :, 0]], axis=1)
    z = np.concatenate([before[:, None], np.asarray(z)[:, :-1]], axis=1)
    now = 1 / (1 + np.exp(np.clip(z - inputs["bonus"] - k, -700, 700)))
    close(now * v[..., 0] + (1 - now) * o, want, entry["tolerance"]["float64_impl"])


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_a_softmax_memory_is_full_attention(method: str, backend: Backend) -> None:
    """Of one query that does not change: every prefix' own softmax."""
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((HEADS, 4)), rng.standard_normal((BATCH, 33, HEADS, 4))
    v = rng.standard_normal((BATCH, 33, HEADS, VALUES))
    scores = np.einsum("hk,bthk->bth", q, k)
    arrays = (scores.astype(np.float32), v.astype(np.float32))
    _, out = ops.softmax(*backend.asarray(arrays), method=method, chunk_size=8)
    for t in range(33):
        e = np.exp(scores[:, : t + 1])
        want = np.einsum("bth,bthv->bhv", e / e.sum(1, keepdims=True), v[:, : t + 1])
        np.testing.assert_allclose(np.asarray(out)[:, t], want, rtol=0, atol=2e-6)
