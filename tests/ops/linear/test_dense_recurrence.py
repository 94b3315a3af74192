"""Dense recurrences: golden vectors, matrices that are shared."""

from __future__ import annotations

import numpy as np
import pytest

from cases.checks import METHODS, close
from cases.ops import OPS, loop
from cases.ops.linear.golden import Recurrence
from conftest import Backend
from golden_vectors import load
from memcore import ops


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("shape", [(3, 3), (1, 3, 3), (5, 3, 3), (2, 1, 3, 3), (1, 5, 3, 3)])
def test_a_matrix_may_be_constant_in_time_or_over_the_batch(
    shape: tuple[int, ...], backend: Backend
) -> None:
    rng = np.random.default_rng(0)
    a, b = 0.5 * rng.standard_normal(shape), rng.standard_normal((2, 5, 3))
    full = {"b": b, "a": np.broadcast_to(a, (2, 5, 3, 3))}
    for method in METHODS:
        got = ops.dense_recurrence(*backend.asarray((a, b)), method=method, chunk_size=2)
        close(got, loop(OPS["dense_recurrence"], full, np.zeros((2, 3))))


Arrays = dict[str, np.ndarray]


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


@pytest.mark.parametrize("method", METHODS)
def test_golden_running_sum(method: str, backend: Backend, x64: None) -> None:
    entry, a = load("memax_linear_recurrent")
    one, x, starts = backend.asarray((np.eye(6), a["in/x"], a["in/start"]))
    got = ops.dense_recurrence(one, x, starts=starts, method=method, chunk_size=16)
    close(got, (a["out/h"], a["out/y"]), entry["tolerance"]["float64_impl"])
