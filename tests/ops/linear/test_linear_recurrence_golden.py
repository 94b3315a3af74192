"""Golden vectors of models whose memory is diagonal: state-space models, gated RNNs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optree
import pytest

from cases.checks import METHODS, close, half_or_flag
from cases.ops.linear.golden import Recurrence
from conftest import Backend
from golden_vectors import load
from memcore import ops

Arrays = dict[str, np.ndarray]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def joined(a: Arrays, name: str) -> np.ndarray:
    """A complex array of two real ones."""
    return a[f"{name}_re"] + 1j * a[f"{name}_im"]


def discrete(name: str, rate: np.ndarray, dt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The decay and the factor of the input of a diagonal system after a step of ``dt``."""
    if name.endswith("zoh"):
        return np.exp(rate * dt), (np.exp(rate * dt) - 1) / rate
    return (1 + rate * dt / 2) / (1 - rate * dt / 2), dt / (1 - rate * dt / 2)


def s4d(name: str, a: Arrays) -> Recurrence:
    rate = -np.exp(a["param/A_re_log"]) + 1j * a["param/A_im"]
    decay, factor = discrete(name, rate, np.exp(a["param/log_dt"])[:, None])
    u, c = a["in/u"], joined(a, "param/C")

    def read(h: np.ndarray) -> np.ndarray:
        return 2 * np.sum(c * h, axis=-1).real + a["param/Dskip"] * u

    return Recurrence(decay, factor * u[..., None], joined(a, "init/x0"), "x", "y", read)


def s5(name: str, a: Arrays) -> Recurrence:
    rate = joined(a, "param/Lambda")
    decay, factor = discrete(name, rate, np.exp(a["param/log_step"]))
    u, c = a["in/u"], joined(a, "param/C")
    drive = u @ (factor[:, None] * joined(a, "param/B")).T

    def read(h: np.ndarray) -> np.ndarray:
        return (h @ c.T).real + a["param/Dskip"] * u

    return Recurrence(decay, drive, joined(a, "init/x0"), "x", "y", read)


def mamba(name: str, a: Arrays) -> Recurrence:
    u, z = a["in/u"], a["in/z"]
    dt = np.logaddexp(0, a["in/dt_raw"] + a["param/dt_bias"])[..., None]
    drive = dt * a["in/Bm"][:, :, None] * u[..., None]

    def read(h: np.ndarray) -> np.ndarray:
        y = np.sum(h * a["in/Cm"][:, :, None], axis=-1) + a["param/Dskip"] * u
        return y * z * sigmoid(z)

    return Recurrence(np.exp(-dt * np.exp(a["param/A_log"])), drive, a["init/h0"], "h", "y", read)


def minimal(name: str, a: Arrays) -> Recurrence:
    """minGRU and minLSTM, whose inputs are kept positive."""
    parts = np.split(a["in/x"] @ a["param/W"].T, 2 if name == "mingru" else 3, axis=-1)
    new, *gates = parts[0], *(sigmoid(x) for x in parts[1:])
    new = np.where(new >= 0, new + 0.5, sigmoid(new))
    keep, write = (1 - gates[0], gates[0]) if name == "mingru" else gates / sum(gates)
    return Recurrence(keep, write * new, a["init/h0"], "hT", "h")


def rglru(name: str, a: Arrays) -> Recurrence:
    x = a["in/x"]

    def gate(letter: str) -> np.ndarray:
        blocks = x.reshape(*x.shape[:2], *a[f"param/b{letter}"].shape)
        z = np.einsum("btni,nio->btno", blocks, a[f"param/W{letter}"]) + a[f"param/b{letter}"]
        return sigmoid(z).reshape(x.shape)

    decay = np.exp(-8 * gate("a") * np.logaddexp(0, a["param/Lambda"]))
    share = np.sqrt(1 - decay**2)
    if name == "rglru_reset":
        share = np.where(a["in/reset"][..., None], 1, share)
    return Recurrence(decay, share * gate("x") * x, a["init/h0"], "h", "y")


DIAGONAL: dict[str, Callable[[str, Arrays], Recurrence]] = {
    "s4d_zoh": s4d,
    "s4d_bilinear": s4d,
    "s5_zoh": s5,
    "s5_bilinear": s5,
    "mamba_selective_scan": mamba,
    "mingru": minimal,
    "minlstm": minimal,
    "rglru": rglru,
    "rglru_reset": rglru,
}


def flat(x: np.ndarray, axes: int) -> Any:
    """All axes behind the first ``axes`` as one; a complex array as a pair."""
    x = x.reshape(*x.shape[:axes], -1)
    return (x.real, x.imag) if np.iscomplexobj(x) else x


def unflat(x: Any, shape: tuple[int, ...]) -> np.ndarray:
    re, im = (np.asarray(part) for part in x) if isinstance(x, tuple) else (np.asarray(x), None)
    return (re if im is None else re + 1j * im).reshape(shape)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", DIAGONAL)
def test_golden_diagonal(name: str, method: str, backend: Backend, x64: None) -> None:
    entry, a = load(name)
    r = DIAGONAL[name](name, a)
    arrays = flat(r.decay, 2 if r.decay.shape == r.drive.shape else 0), flat(r.drive, 2)
    starts = backend.asarray(a["in/reset"]) if "in/reset" in a else None
    for out, state in (("out", np.zeros_like(r.state)), ("out_init", r.state)):
        given = backend.asarray((*arrays, flat(state, 1)))
        after, h = ops.linear_recurrence(*given, starts=starts, method=method, chunk_size=16)
        got = unflat(after, r.state.shape), r.read(unflat(h, r.drive.shape))
        want = a[f"{out}/{r.last}"], a[f"{out}/{r.outputs}"]
        close(got, want, entry["tolerance"]["float64_impl"])


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


THIRD_PARTY = 1e-5  # of float32 numbers, a share of the largest: their own tolerance is looser


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
@pytest.mark.parametrize("name", ["hgrn", "qrnn_fo_pool"])
def test_golden_gates(name: str, method: str, backend: Backend, x64: None) -> None:
    entry, a = load(name)
    if name == "hgrn":
        decay, x, gate, keys = np.exp(a["in/g"]), a["in/x"], 1.0, ("h0", "h", "o")
    else:
        decay, x, gate = a["in/f"], (1 - a["in/f"]) * a["in/z"], a["in/o"]
        keys = ("c0", "c", "h")
    start, state, out = keys
    for part, before in (("out", None), ("out_init", a[f"init/{start}"])):
        arrays = backend.asarray((decay, x, before))
        after, h = ops.linear_recurrence(*arrays, method=method, chunk_size=16)
        want = (a[f"{part}/{state}"], a[f"{part}/{out}"])
        close((after, gate * np.asarray(h)), want, entry["tolerance"]["float64_impl"])


@pytest.mark.parametrize("method", METHODS)
def test_golden_running_sum(method: str, backend: Backend, x64: None) -> None:
    entry, a = load("memax_linear_recurrent")
    one, x, starts = backend.asarray((np.ones(()), a["in/x"], a["in/start"]))
    got = ops.linear_recurrence(one, x, starts=starts, method=method, chunk_size=16)
    close(got, (a["out/h"], a["out/y"]), entry["tolerance"]["float64_impl"])


@pytest.mark.backend("numpy")
def test_golden_numbers_in_float32(backend: Backend) -> None:
    entry, a = load("hgrn")
    arrays = optree.tree_map(half_or_flag, (np.exp(a["in/g"]), a["in/x"], a["init/h0"]))
    for method in METHODS:
        after, h = ops.linear_recurrence(*arrays, method=method)
        assert after.dtype == h.dtype == np.float32
        np.testing.assert_allclose(
            h, a["out_init/o"], rtol=0, atol=entry["tolerance"]["float32_impl"]
        )
