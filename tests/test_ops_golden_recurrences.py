"""Golden vectors of models whose memory is a linear recurrence: state-space models, gated RNNs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from conftest import Backend
from golden_vectors import load
from memcore import ops
from op_cases.checks import METHODS, close

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Recurrence:
    """``h_t = decay_t h_{t-1} + drive_t``, with batch and time in front; ``state`` is what a second
    run begins with, ``last`` names the final state and ``outputs`` what ``read(h)`` gives."""

    decay: np.ndarray
    drive: np.ndarray
    state: np.ndarray
    last: str
    outputs: str
    read: Callable[[np.ndarray], np.ndarray] = lambda h: h


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


# --- diagonal --------------------------------------------------------------------------------------


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


# --- dense -----------------------------------------------------------------------------------------


def exponential(x: np.ndarray) -> np.ndarray:
    """Of a matrix: its series, after halving it until it is short."""
    term = total = np.eye(len(x))
    for n in range(1, 20):
        term = term @ x / 2**6 / n
        total = total + term
    return np.linalg.matrix_power(total, 2**6)


def held(rate: np.ndarray, b: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """The transition and the input's vector after a step in which the input is held."""
    decay = exponential(dt * rate)
    return decay, np.linalg.solve(rate, (decay - np.eye(len(b))) @ b)


def lmu(name: str, a: Arrays) -> Recurrence:
    i, j = np.indices((6, 6))
    rate = (2 * i + 1) / 20 * np.where(i < j, -1, (-1.0) ** (i - j + 1))
    decay, b = held(rate, (2 * i[:, 0] + 1) * (-1.0) ** i[:, 0] / 20, 1.0)
    return Recurrence(decay, a["in/u"][..., None] * b, a["init/m0"], "mT", "m")


def lssl(name: str, a: Arrays) -> Recurrence:
    i, j = np.indices((6, 6))
    root, one, u = np.sqrt(2 * np.arange(6) + 1), np.eye(6), a["in/u"]
    rate = np.where(i > j, -np.outer(root, root), np.where(i == j, -(i + 1.0), 0))
    if name.endswith("zoh"):
        decay, b = held(rate, root, 0.05)
    else:
        decay = np.linalg.solve(one - 0.025 * rate, one + 0.025 * rate)
        b = np.linalg.solve(one - 0.025 * rate, 0.05 * root)

    def read(h: np.ndarray) -> np.ndarray:
        return np.sum(a["param/C"] * h, axis=-1) + a["param/Dskip"] * u

    return Recurrence(decay, u[..., None] * b, a["init/x0"], "x", "y", read)


DENSE = {"lmu_memory": lmu, "lssl_hippo_legs_zoh": lssl, "lssl_hippo_legs_bilinear": lssl}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", DENSE)
def test_golden_dense(name: str, method: str, backend: Backend, x64: None) -> None:
    """Every channel has the same transition: the channels are a batch axis."""
    entry, a = load(name)
    r = DENSE[name](name, a)
    for out, state in (("out", np.zeros_like(r.state)), ("out_init", r.state)):
        given = backend.asarray((r.decay, np.swapaxes(r.drive, 1, 2), state))
        after, h = ops.dense_recurrence(*given, method=method, chunk_size=16)
        got = after, r.read(np.swapaxes(np.asarray(h), 1, 2))
        want = a[f"{out}/{r.last}"], a[f"{out}/{r.outputs}"]
        close(got, want, entry["tolerance"]["float64_impl"])
