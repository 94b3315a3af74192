"""Rotations: exponentials of skew matrices, golden vectors of what they turn."""

from __future__ import annotations

import numpy as np
import pytest

from cases.checks import METHODS, close
from cases.compilations import compilations
from conftest import Backend
from golden_vectors import load
from memcore import ops


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_rotation_is_the_exponential_of_a_skew_matrix(
    size: int, backend: Backend, x64: None
) -> None:
    from scipy.linalg import expm

    rng = np.random.default_rng(0)
    angles = np.stack([s * rng.standard_normal(size * (size - 1) // 2) for s in (0, 0.1, 1, 8)])
    upper = np.zeros((4, size, size))
    upper[:, *np.triu_indices(size, 1)] = angles
    want = np.stack([expm(u - u.T) for u in upper])
    got = np.asarray(ops.rotation(backend.asarray(angles)))
    close(got, want, 1e-12)
    close(got @ np.swapaxes(got, -1, -2), np.broadcast_to(np.eye(size), got.shape), 1e-12)


@pytest.mark.backend("numpy")
def test_rotation_by_an_angle(backend: Backend) -> None:
    angles = np.float32([[0], [0.5], [np.pi], [100]])
    c, s = np.cos(angles[:, 0]), np.sin(angles[:, 0])
    close(ops.rotation(angles), np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], -2), 2e-5)
    assert ops.rotation(angles.astype(np.float16)).dtype == np.float32


@pytest.mark.backend("jax")
def test_gradient_of_a_rotation(backend: Backend, x64: None) -> None:
    """At 0 and beyond: the squarings that are not needed leave no NaN."""
    import jax.numpy as jnp
    from jax.test_util import check_grads

    angles = jnp.asarray(np.random.default_rng(0).standard_normal((1, 3)))
    check_grads(ops.rotation, (jnp.concat([0 * angles, angles, 3 * angles]),), order=1)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_rotations_keep_the_norm(method: str, backend: Backend) -> None:
    rng = np.random.default_rng(0)
    angles, state = rng.standard_normal((200, 6)), rng.standard_normal(4)
    a = ops.rotation(backend.asarray(angles))
    _, h = ops.dense_recurrence(a, None, backend.asarray(state), method=method)
    close(np.linalg.norm(np.asarray(h), axis=-1), np.full(200, np.linalg.norm(state)), 1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_golden_spherical(method: str, backend: Backend, x64: None) -> None:
    """``h = R h``, the rotation of each step from its input."""
    entry, a = load("memax_spherical")
    weight, bias, v = (
        a[f"param/algebra.algebra.{n}"] for n in ("project.weight", "project.bias", "initial_state")
    )
    turns = ops.rotation(backend.asarray(a["in/x"] @ weight.T + bias))
    starts, initial = backend.asarray((a["in/start"], v / np.linalg.norm(v)))
    how = {"starts": starts, "initial": initial, "method": method, "chunk_size": 16}
    got = ops.dense_recurrence(turns, **how)
    close(got, (a["out/h"], a["out/y"]), entry["tolerance"]["float64_impl"])


@pytest.mark.parametrize("method", METHODS)
def test_golden_product_of_rotations(method: str, backend: Backend, x64: None) -> None:
    """``S = S R``: the rows of S are a batch, and each turns by ``R^T``."""
    entry, a = load("memax_pspherical")
    v = a["param/initial_vector"] / np.linalg.norm(a["param/initial_vector"])
    turns = ops.rotation(
        backend.asarray(a["in/x"] @ a["param/project.weight"].T + a["param/project.bias"])
    )
    nothing, starts, eye = backend.asarray(
        (np.zeros((2, 4, 37, 4)), a["in/start"][:, None], np.eye(4))
    )
    how = {"starts": starts, "initial": eye, "method": method, "chunk_size": 16}
    state, rows = ops.dense_recurrence(turns.mT[:, None, ...], nothing, **how)
    y = np.moveaxis(np.asarray(rows) @ v, 1, 2)
    close((state, y), (a["out/S"], a["out/y"]), entry["tolerance"]["float64_impl"])


@pytest.mark.backend("jax")
def test_a_rotation_is_one_compiled_call(backend: Backend) -> None:
    angles = backend.asarray(np.ones((2, 7, 6), np.float32))
    with compilations() as first:
        ops.rotation(angles)
    assert len(first) == 1
