"""Linear attention: a running sum, and golden vectors of what is linear attention by another name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import optree
import pytest

from cases.checks import METHODS, close, half_or_flag
from conftest import Backend
from golden_vectors import load
from memcore import ops


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_linear_attention_is_a_running_sum(method: str, backend: Backend) -> None:
    v = np.random.default_rng(0).standard_normal((17, 1, 3)).astype(np.float32)
    one = np.ones((17, 1, 1), np.float32)
    state, out = ops.linear_attention(*backend.asarray((one, one, v)), method=method, chunk_size=5)
    close(out, np.cumsum(v, axis=0), 1e-6)
    close(np.asarray(state)[0, 0], np.sum(v[:, 0], axis=0), 1e-6)
    _, mean = ops.linear_attention(*backend.asarray((one, one, v)), normalise=True, method=method)
    close(mean, np.cumsum(v, axis=0) / np.arange(1, 18, dtype=np.float32)[:, None, None], 1e-6)


def elu1(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))


def golden_op(name: str, arrays: dict[str, np.ndarray]) -> tuple[Any, Callable[..., Any]]:
    """The arrays of a matrix memory, and its call."""
    q, k, v = (arrays[f"in/{n}"] for n in "qkv")
    if name == "linear_attn_elu1_norm":
        return (elu1(q), elu1(k), v), functools.partial(ops.linear_attention, normalise=True)
    scale = q.shape[-1] ** -0.5
    more = (arrays["in/g"],) if "in/g" in arrays else ()
    return (q, k, v, *more), functools.partial(ops.linear_attention, scale=scale)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "name",
    [
        "linear_attn_unnorm",
        "linear_attn_elu1_norm",
        "simple_gla",
        "gla",
    ],
)
def test_golden_memories(name: str, method: str, backend: Backend, x64: None) -> None:
    entry, a = load(name)
    arrays, function = golden_op(name, a)
    start: Any = (a["init/S0"], a["init/z0"]) if "init/z0" in a else a["init/S0"]
    for out, state in (("out", optree.tree_map(np.zeros_like, start)), ("out_init", start)):
        want = (a[f"{out}/S"], a[f"{out}/z"]) if "init/z0" in a else a[f"{out}/S"]
        got = function(
            *backend.asarray(arrays), state=backend.asarray(state), method=method, chunk_size=16
        )
        close(got, (want, a[f"{out}/o"]), entry["tolerance"]["float64_impl"])


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", ["linear_attn_unnorm", "gla"])
def test_golden_memories_in_float32(name: str, backend: Backend) -> None:
    entry, a = load(name)
    arrays, function = golden_op(name, a)
    arrays, state = optree.tree_map(half_or_flag, (arrays, a["init/S0"]))
    tolerance = entry["tolerance"]["float32_impl"]
    for method in METHODS:
        after, out = function(*arrays, state=state, method=method)
        assert after.dtype == out.dtype == np.float32
        np.testing.assert_allclose(after, a["out_init/S"], rtol=0, atol=tolerance)
        np.testing.assert_allclose(out, a["out_init/o"], rtol=0, atol=tolerance)


def decays(name: str, a: dict[str, np.ndarray]) -> tuple[Any, ...]:
    """q, k, v and the log decay of a memory that is linear attention by another name."""
    if name == "retention":
        q, k, v = (a[f"in/{n}"] for n in "qkv")
        return q, k, v, np.broadcast_to(np.log(1 - 2.0 ** (-5 - np.arange(2))), q.shape[:-1])
    if name == "hgrn2":
        return a["in/q"], 1 - a["in/f"], a["in/v"], np.log(a["in/f"])
    dt = np.logaddexp(0, a["in/dt_raw"] + a["in/dt_bias"])
    x = a["in/x"]
    b, c = (np.broadcast_to(a[f"in/{n}"], (*x.shape[:3], 8)) for n in ("Bm", "Cm"))
    return c, b * dt[..., None], x, dt * -np.exp(a["in/A_log"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["retention", "hgrn2", "mamba2_ssd"])
def test_golden_decays(name: str, method: str, backend: Backend, x64: None) -> None:
    entry, a = load(name)
    arrays, mamba = decays(name, a), name == "mamba2_ssd"
    start = np.swapaxes(a["init/S0"], -1, -2) if mamba else a["init/S0"]
    how = {"scale": 1.0 if mamba else arrays[0].shape[-1] ** -0.5, "method": method}
    for out, state in (("out", None), ("out_init", start)):
        got, o = ops.linear_attention(*backend.asarray(arrays), backend.asarray(state), **how)
        want = (np.swapaxes(a[f"{out}/S"], -1, -2), a[f"{out}/y"] - a["in/D"][:, None] * a["in/x"]) \
            if mamba else (a[f"{out}/S"], a[f"{out}/o"])  # fmt: skip
        close((got, o), want, entry["tolerance"]["float64_impl"])


Arrays = dict[str, np.ndarray]


THIRD_PARTY = 1e-5  # of float32 numbers, a share of the largest: their own tolerance is looser


@pytest.mark.parametrize("method", METHODS)
def test_golden_rwkv6(method: str, backend: Backend, x64: None) -> None:
    """It reads before it writes: the memory of the step before, and the own value with a bonus."""
    entry, a = load("rwkv6")
    q, k, v, w = (a[f"in/{n}"] for n in "qkvw")
    q = q * q.shape[-1] ** -0.5
    own = np.sum(q * a["in/u"] * k, axis=-1, keepdims=True) * v

    def moved(x: np.ndarray, front: int) -> np.ndarray:
        return np.pad(x, ((0, 0), (front, 1 - front), (0, 0), (0, 0)))

    arrays = backend.asarray((moved(q, 0), *(moved(x, 1) for x in (k, v, w))))
    for out, state in (("out", np.zeros_like(a["init/S0"])), ("out_init", a["init/S0"])):
        state = backend.asarray(state)
        after, o = ops.linear_attention(*arrays, state, method=method, chunk_size=16)
        got = after, np.asarray(o)[:, :-1] + own
        close(got, (a[f"{out}/S"], a[f"{out}/o"]), entry["tolerance"]["float64_impl"])


def slots(name: str, a: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """How much is written to each slot, and the log decay of each."""
    if name == "gsa":
        return a["in/s"], a["in/g"]
    z = np.logaddexp.accumulate(a["in/s"], axis=1)  # ABC: a running softmax over what was written
    return np.exp(a["in/s"] - z), np.diff(-z, axis=1, prepend=-z[:, :1])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["gsa", "abc"])
def test_golden_slots(name: str, method: str, backend: Backend, x64: None) -> None:
    """Two memories; in the first every slot is a head, for its keys are what is decayed and read."""
    entry, a = load(name)
    q, k, v = (a[f"in/{n}"] for n in "qkv")
    s, g = slots(name, a)
    batch, length, heads, count = s.shape
    head, slot = k.shape[-1], (batch, length, heads * count)
    scale = head**-0.5
    how: dict[str, Any] = {"method": method, "chunk_size": 16}
    first = (np.zeros((batch, heads, head, count)), np.zeros((batch, heads, count, v.shape[-1])))
    runs = [("out", first)]
    if name == "gsa":
        runs.append(("out_init", (a["init/Hk0"], a["init/Hv0"])))
    for out, (keys, values) in runs:
        each = (
            np.repeat(q, count, 2),
            np.repeat(k, count, 2),
            s.reshape(*slot, 1),
            g.reshape(slot),
        )
        begin = np.swapaxes(keys, 2, 3).reshape(batch, heads * count, head, 1)
        kept, y = ops.linear_attention(*backend.asarray((*each, begin)), scale=scale, **how)
        weights = np.exp(np.asarray(y).reshape(s.shape))
        weights = weights / np.sum(weights, axis=-1, keepdims=True)
        after, o = ops.linear_attention(*backend.asarray((weights, s, v, g, values)), **how)
        kept = np.swapaxes(np.asarray(kept).reshape(batch, heads, count, head), 2, 3)
        want = tuple(a[f"{out}/{n}"] for n in ("Hk", "Hv", "o"))
        close((kept, after, o), want, entry["tolerance"]["float64_impl"])


def features(name: str, x: np.ndarray) -> np.ndarray:
    """Whose products are ``1 + s + s^2 / 2`` or ``s^2``, for s the product of the vectors."""
    squares = (x[..., :, None] * x[..., None, :]).reshape(*x.shape[:-1], -1)
    if name == "rebased":
        return squares
    return np.concatenate([np.ones_like(x[..., :1]), x, squares / np.sqrt(2)], axis=-1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["based", "rebased"])
def test_golden_features(name: str, method: str, backend: Backend, x64: None) -> None:
    """Their normaliser is a value of 1, for it has an epsilon of its own."""
    entry, a = load(name)
    q, k, v = (a[f"in/{n}"] for n in "qkv")
    q, k = features(name, q * q.shape[-1] ** -0.5), features(name, k)
    v = np.concatenate([v, np.ones_like(v[..., :1])], axis=-1)
    _, o = ops.linear_attention(*backend.asarray((q, k, v)), method=method, chunk_size=16)
    o = np.asarray(o)
    close(o[..., :-1] / (o[..., -1:] + 1e-6), a["out/o"], entry["tolerance"]["float64_impl"])


@pytest.mark.parametrize("method", METHODS)
def test_golden_memorax_linear_attention(method: str, backend: Backend, x64: None) -> None:
    """With elu + 1 for the features, and a norm and a projection behind."""
    _, a = load("memorax_linear_attention")
    names = ("query", "key", "value")
    q, k, v = (np.einsum("btf,fhd->bthd", a["in/x"], a[f"param/{n}/kernel"]) for n in names)
    q, k = (np.where(x > 0, x + 1, np.exp(np.minimum(x, 0))) for x in (q, k))
    how = {"starts": backend.asarray(a["in/done"]), "method": method, "chunk_size": 16}
    state, o = ops.linear_attention(*backend.asarray((q, k, v)), normalise=True, **how)
    y = np.asarray(o).reshape(*o.shape[:2], -1)
    y = y / np.sqrt(np.mean(y**2, axis=-1, keepdims=True) + 1e-6) * a["param/norm/scale"]
    y = y @ a["param/output_projection/kernel"] + a["param/output_projection/bias"]
    want = np.swapaxes(a["out/S"], -1, -2), a["out/z"], a["out/y"]
    close((*state, y), want, THIRD_PARTY)
