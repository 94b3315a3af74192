"""Memories that are trained token by token: golden vectors, cut anywhere, resets, padding, promises."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import optree
import pytest

from cases.checks import close
from conftest import Backend
from golden_vectors import load
from memcore import ops

MATRIX = {"q": "q", "k": "k", "v": "v", "rate": "eta", "keep": "alpha"}
WINDOW = {"memory": "S", "k": "buf_k", "v": "buf_v", "gamma": "buf_gamma"}
HUBER = "yaad_linear_huber_"
GOLDEN: dict[str, tuple[Callable[..., Any], dict[str, str], str]] = {
    "yaad_linear": (ops.yaad, {**MATRIX, "threshold": "delta"}, "W"),
    **{HUBER + n: (partial(ops.yaad, loss=n), {**MATRIX, "threshold": "delta"}, "W")
       for n in ("norm", "coordinate")},
    "moneta_linear": (ops.moneta, MATRIX, "A"),
    "memora_linear": (ops.memora, MATRIX, "W"),
    "omega_linear": (partial(ops.omega, window=3), {**MATRIX, "gamma": "gamma"}, ""),
    "omega_linear_start": (partial(ops.omega, window=3), {**MATRIX, "gamma": "gamma"}, ""),
    "omega_poly": (partial(ops.omega, window=3, degree=2), {**MATRIX, "gamma": "gamma"}, ""),
}  # fmt: skip
"""The function, the names of its arrays in the golden vectors, and that of its weight."""


def _state(a: dict[str, np.ndarray], where: str, weight: str) -> Any:
    return a[f"{where}/{weight}"] if weight else {n: a[f"{where}/{g}"] for n, g in WINDOW.items()}


@pytest.mark.parametrize("method", ["sequential", "fused"])
@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str, method: str, backend: Backend, x64: None) -> None:
    entry, a = load(name)
    function, names, weight = GOLDEN[name]
    arrays = {own: a[f"in/{theirs}"] for own, theirs in names.items()}
    more = backend.asarray({"weight": a[f"param/{weight}"]}) if weight else {}
    for out, begin in (("out", None), ("out_init", _state(a, "init", weight))):
        for cut in (37, 1, 13):
            state, outs = backend.asarray(begin), []
            for first, stop in ((0, cut), (cut, 37)):
                piece = backend.asarray({n: x[:, first:stop] for n, x in arrays.items()})
                starts = a["in/start"][:, first:stop] if "in/start" in a else None
                how: Any = {"starts": backend.asarray(starts), "method": method, "chunk_size": 5}
                state, o = function(**piece, **more, state=state, **how)
                outs.append(np.asarray(o))
            want = a[f"{out}/o"], _state(a, out, weight)
            close((np.concatenate(outs, axis=1), state), want, entry["tolerance"]["float64_impl"])


HEADS, D, LENGTH = 2, 3, 13
RULES: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "yaad": (ops.yaad, ("threshold",)),
    "moneta": (ops.moneta, ()),
    "memora": (ops.memora, ()),
    "omega": (partial(ops.omega, window=3), ("gamma",)),
    "omega_one": (ops.omega, ("gamma",)),
    "omega_polynomial": (partial(ops.omega, window=2, degree=2), ("gamma",)),
    "atlas": (partial(ops.omega, window=3), ("gamma", "momentum")),
}


def drawn(name: str) -> tuple[Callable[..., Any], dict[str, Any], dict[str, Any]]:
    """The function, its arrays over time, and its weight."""
    function, gates = RULES[name]
    rng = np.random.default_rng(0)
    arrays = {n: 0.7 * rng.standard_normal((2, LENGTH, HEADS, D)) for n in "qkv"}
    arrays["k"] /= np.linalg.norm(arrays["k"], axis=-1, keepdims=True)
    for gate in ("rate", "keep", *gates):
        arrays[gate] = rng.uniform(0.1, 0.9, (2, LENGTH, HEADS))
    if name.startswith("omega"):
        return function, arrays, {}
    weight = rng.uniform(0.1, 1, (HEADS, D, D))
    return function, arrays, {"weight": weight / weight.sum(axis=-2, keepdims=True)}


def at(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
    return {n: x[:, index] for n, x in arrays.items()}


@pytest.mark.parametrize("method", ["sequential", "fused"])
@pytest.mark.parametrize("name", RULES)
def test_packed_is_apart_and_padding_is_taken_out(
    name: str, method: str, backend: Backend, x64: None
) -> None:
    function, arrays, more = drawn(name)
    starts, valid = np.isin(np.arange(LENGTH), (4, 9)), np.arange(LENGTH) % 5 != 2
    function = partial(function, **backend.asarray(more), method=method, chunk_size=4)
    flags = backend.asarray({"starts": starts, "valid": valid})
    state, out = function(**backend.asarray(arrays), **flags)
    for begin, end in ((0, 4), (4, 9), (9, LENGTH)):
        own = np.flatnonzero(valid[begin:end]) + begin
        alone, want = function(**backend.asarray(at(arrays, own)))
        close(np.asarray(out)[:, own], want)
    close(state, alone)
    assert not np.asarray(out)[:, ~valid].any()


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", RULES)
def test_gradients_of_the_methods(name: str, backend: Backend, x64: None) -> None:
    import jax
    import jax.numpy as jnp

    function, *arrays = drawn(name)

    def loss(arrays: Any, method: str) -> Any:
        out = function(**arrays[0], **arrays[1], method=method, chunk_size=4)[1]
        return jnp.sum(jnp.sin(out))

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    got = [gradient(backend.asarray(arrays), m) for m in ("sequential", "fused")]
    # Newton and Schulz' iteration multiplies rounding by up to 485 a step.
    close(*got, 1e-7 if "momentum" in arrays[0] else 1e-10)
    assert all(np.isfinite(leaf).all() for leaf in optree.tree_leaves(got))


@pytest.mark.backend("numpy")
def test_an_outlier_moves_yaad_by_its_threshold(backend: Backend) -> None:
    """One value a thousand times too large: the weights move by rate * threshold, not by the error."""
    k, one = np.array([1.0, 0.0])[None, None], np.ones((1, 1))
    value, zero = np.full((1, 1, 2), 1e3), np.zeros((1, 2, 2))
    for loss, size in (("switched", 1.0), ("coordinate", 1.0), ("norm", np.sqrt(0.5))):
        w, _ = ops.yaad(k, k, value, 0.5 * one, one, one, zero, loss=loss)
        close(w[0], np.array([[0.5 * size] * 2, [0.0] * 2]))


@pytest.mark.backend("numpy")
def test_memora_stays_a_distribution(backend: Backend) -> None:
    """Rates that drive weights below the smallest number, then away from there."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, 200, 1, 3)).astype("float32") for _ in range(3))
    one = np.ones((1, 200, 1), "float32")
    weight = np.full((1, 3, 3), 1 / 3, "float32")
    w, out = ops.memora(q, k, 10 * v, 5 * one, one, weight)
    assert np.isfinite(out).all() and (w >= 0).all()
    np.testing.assert_allclose(w.sum(axis=-2), 1, rtol=1e-6)


@pytest.mark.backend("numpy")
def test_a_window_of_one_is_the_delta_rule(backend: Backend) -> None:
    """The Omega rule with c = 1, gamma = 1 and rate / 2."""
    _, x, _ = drawn("omega")
    ones = np.ones_like(x["rate"])
    out = ops.omega(x["q"], x["k"], x["v"], 0.5 * x["rate"], ones, ones)[1]
    close(out, ops.delta_rule(x["q"], x["k"], x["v"], x["rate"])[1])


@pytest.mark.backend("numpy")
def test_an_atlas_step_is_orthogonal(backend: Backend) -> None:
    """Without old memory the state is the orthogonalised step: its singular values are near 1."""
    _, x, _ = drawn("atlas")
    zero, one = np.zeros_like(x["rate"]), np.ones_like(x["rate"])
    how: Any = {"keep": zero, "momentum": 0.9 * one, "gamma": one, "window": 4}
    state, _ = ops.omega(x["q"], x["k"], x["v"], 0.1 * one, **how)
    values = np.linalg.svd(state["memory"] / 0.1, compute_uv=False)
    assert values.max() < 1.3 and values[..., 0].min() > 0.6
