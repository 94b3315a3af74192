"""Golden vectors of layers that use the matrix memories and the windows: features, slots, resets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conftest import Backend
from golden_vectors import load
from memcore import ops
from op_cases.checks import METHODS, close

Arrays = dict[str, np.ndarray]

THIRD_PARTY = 1e-5  # of float32 numbers, a share of the largest: their own tolerance is looser


# --- linear attention ------------------------------------------------------------------------------


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
def test_golden_preconditioned_delta_rule(method: str, backend: Backend, x64: None) -> None:
    entry, a = load("precond_gated_delta_rule")
    q, k = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a["in/q"], a["in/k"]))
    beta, decay = a["in/beta"][..., None], np.exp(a["in/g"])[..., None]
    seen = (np.exp(a["in/g_atk"])[..., None], a["in/beta_atk"][..., None] * k**2)
    seen = tuple(np.broadcast_to(x, k.shape).reshape(*k.shape[:2], -1) for x in seen)
    zeros = np.zeros_like(a["init/S0"]), np.zeros_like(a["init/A0"])
    for out, (state, sizes) in (("out", zeros), ("out_init", (a["init/S0"], a["init/A0"]))):
        begin = sizes.reshape(len(sizes), -1)
        size, sizes = ops.linear_recurrence(*backend.asarray((*seen, begin)), method=method)
        r = np.log(np.asarray(sizes).reshape(k.shape) + 1e-6) + 0.2
        write = beta * k * np.exp(-np.log(1.5) * r / (1 + np.abs(r)))
        arrays = q, write, a["in/v"], -decay * k, write, a["in/g"], state
        how: dict[str, Any] = {"scale": q.shape[-1] ** -0.5, "method": method, "chunk_size": 16}
        after, o = ops.dplr_delta_rule(*backend.asarray(arrays), **how)
        size = np.asarray(size).reshape(a["init/A0"].shape)
        want = tuple(a[f"{out}/{n}"] for n in ("S", "A", "o"))
        close((after, size, o), want, entry["tolerance"]["float64_impl"])


# --- with starts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("position", ["none", "alibi", "rope"])
def test_golden_memax_attention(position: str, method: str, backend: Backend, x64: None) -> None:
    _, a = load(f"memax_attention_{position}")
    q, k, v = (a["in/x"] @ a[f"param/{n}.weight"].T for n in "QKV")
    v = v + a["param/V.bias"]
    if position == "rope":  # pairs (2j, 2j+1) become the pairs (j, j + K/2)
        order = [*range(0, q.shape[-1], 2), *range(1, q.shape[-1], 2)]
        q, k = q[..., order], k[..., order]
    arrays = backend.asarray(tuple(x[:, :, None] for x in (q, k, v)))
    how = {"starts": backend.asarray(a["in/start"]), "method": method, "chunk_size": 16}
    how["position"] = None if position == "none" else position
    _, o = ops.window_attention(*arrays, 8, **how)
    close(np.asarray(o)[:, :, 0], a["out/y"], THIRD_PARTY)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("position", ["alibi", "rope"])
def test_golden_memorax_attention(position: str, method: str, backend: Backend, x64: None) -> None:
    _, a = load(f"memorax_self_attention_{position}")

    def heads(name: str) -> np.ndarray:
        projected = np.einsum("btf,fhd->bthd", a["in/x"], a[f"param/{name}/kernel"])
        return projected + a[f"param/{name}/bias"]

    arrays = backend.asarray(tuple(heads(n) for n in ("query", "key", "value")))
    how = {"starts": backend.asarray(a["in/done"]), "method": method, "chunk_size": 16}
    _, o = ops.window_attention(*arrays, 37, position=position, **how)
    y = np.einsum("bthd,hdf->btf", np.asarray(o), a["param/output_projection/kernel"])
    close(y + a["param/output_projection/bias"], a["out/y"], THIRD_PARTY)


@pytest.mark.parametrize("method", METHODS)
def test_golden_memax_lru(method: str, backend: Backend, x64: None) -> None:
    _, a = load("memax_lru")
    x = a["in/x"]
    b, c = (a[f"param/{n}_re"] + 1j * a[f"param/{n}_im"] for n in "BC")
    decay = np.exp(-np.exp(a["param/nu_log"]) + 1j * np.exp(a["param/theta_log"]))
    drive = np.exp(a["param/gamma_log"]) * (x @ b.T)
    pairs = backend.asarray(((decay.real, decay.imag), (drive.real, drive.imag)))
    how = {"starts": backend.asarray(a["in/start"]), "method": method, "chunk_size": 16}
    state, h = (
        np.asarray(z[0]) + 1j * np.asarray(z[1]) for z in ops.linear_recurrence(*pairs, **how)
    )
    close((state, (h @ c.T).real + a["param/D"] * x), (a["out/h"], a["out/y"]), THIRD_PARTY)


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
