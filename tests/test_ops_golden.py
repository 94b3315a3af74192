"""The rules against golden vectors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import optree
import pytest

from conftest import Backend
from golden_vectors import load
from memcore import ops
from op_cases.checks import METHODS, close, half_or_flag


def elu1(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))


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


def golden_op(name: str, arrays: dict[str, np.ndarray]) -> tuple[Any, Callable[..., Any]]:
    """The arrays of a matrix memory, and its call."""
    q, k, v = (arrays[f"in/{n}"] for n in "qkv")
    if name == "linear_attn_elu1_norm":
        return (elu1(q), elu1(k), v), functools.partial(ops.linear_attention, normalise=True)
    scale = q.shape[-1] ** -0.5
    more = tuple(arrays[f"in/{n}"] for n in ("beta", "g") if f"in/{n}" in arrays)
    function = ops.delta_rule if "in/beta" in arrays else ops.linear_attention
    return (q, k, v, *more), functools.partial(function, scale=scale)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "name",
    [
        "linear_attn_unnorm",
        "linear_attn_elu1_norm",
        "simple_gla",
        "gla",
        "delta_rule",
        "gated_delta_rule",
        "kda",
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
@pytest.mark.parametrize("name", ["linear_attn_unnorm", "gla", "gated_delta_rule"])
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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "window", "position"),
    [
        ("attn_softmax_causal", 37, None),
        ("attn_softmax_alibi", 37, "alibi"),
        ("attn_softmax_rope_halfsplit", 37, "rope"),
        ("attn_softmax_rope_interleaved", 37, "rope"),
        ("attn_softmax_swa8", 8, None),
        ("attn_softmax_alibi_swa8", 8, "alibi"),
        ("attn_softmax_rope_interleaved_swa8", 8, "rope"),
    ],
)
def test_golden_attention(
    name: str, window: int, position: str | None, method: str, backend: Backend, x64: None
) -> None:
    entry, a = load(name)
    q, k, v = (a[f"in/{n}"] for n in "qkv")
    if "interleaved" in name:  # pairs (2j, 2j+1) become the pairs (j, j + K/2)
        order = [*range(0, q.shape[-1], 2), *range(1, q.shape[-1], 2)]
        q, k = q[..., order], k[..., order]
    how = {"position": position, "method": method, "chunk_size": 16}
    _, out = ops.window_attention(*backend.asarray((q, k, v)), window, **how)
    close(out, a["out/o"], entry["tolerance"]["float64_impl"])


@pytest.mark.parametrize("method", METHODS)
def test_golden_lru(method: str, backend: Backend, x64: None) -> None:
    entry, a = load("lru")
    decay = np.exp(-np.exp(a["param/nu_log"]) + 1j * np.exp(a["param/theta_log"]))
    b = np.exp(a["param/gamma_log"]) * (a["in/u"] @ (a["param/B_re"] + 1j * a["param/B_im"]).T)
    pairs = backend.asarray(((decay.real, decay.imag), (b.real, b.imag)))
    start = (a["init/x0_re"], a["init/x0_im"])
    for out, state in (("out", optree.tree_map(np.zeros_like, start)), ("out_init", start)):
        after, h = ops.linear_recurrence(*pairs, backend.asarray(state), method=method)
        want = a[f"{out}/x"]
        close(after, (want.real, want.imag), entry["tolerance"]["float64_impl"])
        states = np.asarray(h[0]) + 1j * np.asarray(h[1])
        ys = (states @ (a["param/C_re"] + 1j * a["param/C_im"]).T).real
        ys = ys + a["param/Dskip"] * a["in/u"]
        close(ys, a[f"{out}/y"], entry["tolerance"]["float64_impl"])
