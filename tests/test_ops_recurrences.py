"""Linear recurrences: backwards in time, shared transitions, rotations, golden vectors, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optree
import pytest

from conftest import Backend
from golden_vectors import load
from memcore import ops
from op_cases import BATCH, OPS, WIDTH, Op, loop
from op_cases.checks import METHODS, at, close, drawn, half_or_flag

REVERSED = (
    "recurrence",
    "recurrence_constant",
    "recurrence_scalar",
    "recurrence_scalar_constant",
    "complex",
    "complex_constant",
    "complex_scalar",
    "complex_scalar_constant",
    "block",
    "block_constant",
    "block_scalar",
)


# --- backwards in time -----------------------------------------------------------------------------


def backward_loop(
    op: Op, arrays: Any, state: Any, initial: Any, starts: Any, valid: Any
) -> tuple[Any, Any]:
    """One step of one sequence at a time, from the last to the first; a start acts behind its step."""
    batch, length = starts.shape
    initial = op.empty(state) if initial is None else initial
    finals, rows = [], []
    for i in range(batch):
        h, row = at(state, i), []
        for t in reversed(range(length)):
            u = {name: x if name in op.constant else x[i, t] for name, x in arrays.items()}
            after, out = op.step(h, u)
            if not valid[i, t]:
                after, out = h, optree.tree_map(np.zeros_like, out)
            h = at(initial, i) if starts[i, t] else after
            row.insert(0, out)
        finals.append(h)
        rows.append(optree.tree_map(lambda *xs: np.stack(xs), *row))
    return tuple(optree.tree_map(lambda *xs: np.stack(xs), *x) for x in (finals, rows))


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", REVERSED)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("given_initial", [True, False])
def test_reverse(name: str, method: str, given_initial: bool, backend: Backend, x64: None) -> None:
    """A state, an initial state at every start, and padding, all at once."""
    op, arrays, state, initial, starts, valid = drawn(name, 17, initial=given_initial)
    for first in (False, True):
        starts[:, 0] = first
        how = backend.asarray({"starts": starts, "valid": valid, "initial": initial})
        given = backend.asarray((arrays, state))
        got = op.run(*given, **how, reverse=True, method=method, chunk_size=5)
        close(got, backward_loop(op, arrays, state, initial, starts, valid))


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    ("name", "method", "given_initial"),
    [
        ("recurrence", "fused", True),
        ("complex", "chunked", True),
        ("complex_scalar_constant", "fused", False),
        ("block_constant", "fused", True),
    ],
)
def test_reverse_on_jax(
    name: str, method: str, given_initial: bool, backend: Backend, x64: None
) -> None:
    test_reverse(name, method, given_initial, backend, None)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", REVERSED)
@pytest.mark.parametrize("method", METHODS)
def test_reverse_is_forward_on_the_mirror(name: str, method: str, backend: Backend) -> None:
    op, arrays, state, *_ = drawn(name, 13)
    mirror = {n: x if n in op.constant else x[:, ::-1] for n, x in arrays.items()}
    how = {"method": method, "chunk_size": 4}
    got = op.run(*backend.asarray((arrays, state)), reverse=True, **how)
    after, out = op.run(*backend.asarray((mirror, state)), **how)
    close(got, (after, at(out, slice(None), slice(None, None, -1))), 1e-12)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", REVERSED)
def test_reverse_packed_is_apart(name: str, backend: Backend) -> None:
    op, arrays, state, initial, _, _ = drawn(name, 13)
    starts = np.zeros((BATCH, 13), dtype=bool)
    starts[:, [4, 5, 10]] = True
    how = backend.asarray({"starts": starts, "initial": initial})
    after, out = op.run(*backend.asarray((arrays, state)), **how, reverse=True)
    for begin, end in ((0, 4), (4, 5), (5, 10), (10, 13)):
        part = {n: x if n in op.constant else x[:, begin:end] for n, x in arrays.items()}
        before = state if end == 13 else initial
        alone, want = op.run(*backend.asarray((part, before)), reverse=True)
        close(at(out, slice(None), slice(begin, end)), want)
        if begin == 0:
            close(after, alone)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", REVERSED)
def test_reverse_streams_from_the_last_block(name: str, backend: Backend) -> None:
    op, arrays, state, initial, starts, valid = drawn(name, 9)
    starts[:, 4], valid[0, 4] = [True, False], False

    def run(state: Any, *index: slice) -> Any:
        part = {n: x if n in op.constant else x[:, *index] for n, x in arrays.items()}
        how = {"starts": starts[:, *index], "valid": valid[:, *index], "initial": initial}
        return op.run(*backend.asarray((part, state)), **backend.asarray(how), reverse=True)

    whole, out = run(state, slice(None))
    for cut in range(10):
        middle, late = run(state, slice(cut, None))
        first, early = run(middle, slice(0, cut))
        close(first, whole)
        joined = optree.tree_map(lambda *xs: np.concatenate(xs, axis=1), *map(at, (early, late)))
        close(joined, at(out))


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["recurrence", "block_constant"])
def test_gradients_in_reverse(name: str, backend: Backend, x64: None) -> None:
    import jax
    import jax.numpy as jnp

    op, arrays, state, initial, starts, valid = drawn(name, 17)
    how = backend.asarray({"starts": starts, "valid": valid})

    def loss(arrays: Any, state: Any, initial: Any, method: str) -> Any:
        result = op.run(arrays, state, initial=initial, **how, reverse=True, method=method)
        return sum(jnp.sum(jnp.sin(x + i)) for i, x in enumerate(optree.tree_leaves(result)))

    gradient = jax.jit(jax.grad(loss, (0, 1, 2)), static_argnums=3)
    given = backend.asarray((arrays, state, initial))
    close(gradient(*given, "fused"), gradient(*given, "sequential"))


@pytest.mark.backend("jax")
def test_half_precision_in_reverse(backend: Backend) -> None:
    """A float32 decay of bfloat16 inputs keeps its digits, and so does the state."""
    import jax.numpy as jnp

    b = jnp.ones((64, 1), jnp.bfloat16)
    state, out = ops.linear_recurrence(jnp.asarray([0.999]), b, reverse=True)
    assert (state.dtype, out.dtype) == (jnp.float32, jnp.bfloat16)
    close(state, np.asarray([(1 - 0.999**64) / 0.001], np.float32), 1e-4)


# --- transitions that are shared -------------------------------------------------------------------


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("shape", [(), (1,), (5, 1), (1, 1), (2, 1, 1), (2, 5, 1), (1, 5, 3)])
def test_one_number_for_all_channels(shape: tuple[int, ...], backend: Backend) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, shape), rng.standard_normal((2, 5, WIDTH))
    full = {"a": np.broadcast_to(a, b.shape), "b": b}
    zeros = np.zeros((2, WIDTH))
    for method in METHODS:
        got = ops.linear_recurrence(*backend.asarray((a, b)), method=method, chunk_size=2)
        close(got, loop(OPS["recurrence"], full, zeros))


@pytest.mark.backend("numpy", "jax")
def test_a_python_number_is_a_transition(backend: Backend) -> None:
    b = backend.asarray(np.ones((4, 2), np.float32))
    state, out = ops.linear_recurrence(0.5, b)
    close(out, np.float32([[1, 1], [1.5, 1.5], [1.75, 1.75], [1.875, 1.875]]), 1e-6)
    assert state.dtype == out.dtype == np.float32


@pytest.mark.backend("jax")
def test_gradient_of_a_shared_number(backend: Backend, x64: None) -> None:
    """Summed over the channels, the batch and, where it is constant, time."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    b = jnp.asarray(rng.standard_normal((2, 5, WIDTH)))

    def loss(a: Any, method: str) -> Any:
        return jnp.sum(jnp.sin(ops.linear_recurrence(a, b, method=method)[1]))

    for shape in ((), (5, 1), (2, 1, WIDTH)):
        a = jnp.asarray(rng.uniform(-1, 1, shape))
        close(jax.grad(loss)(a, "fused"), jax.grad(loss)(a, "sequential"))


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_blocks_of_rotations_are_complex_numbers(method: str, backend: Backend) -> None:
    op, x, state, *_ = drawn("complex", 13)
    re, im = x["a_re"], x["a_im"]
    arrays = backend.asarray((((re, -im), (im, re)), (x["b_re"], x["b_im"]), state))
    got = ops.linear_recurrence(*arrays, method=method, chunk_size=4)
    close(got, op.run(*backend.asarray((x, state)), method="sequential"))


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
        close(got, loop(OPS["dense"], full, np.zeros((2, 3))))


# --- rotations -------------------------------------------------------------------------------------


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


# --- golden vectors --------------------------------------------------------------------------------


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
    x, starts = backend.asarray((a["in/x"], a["in/start"]))
    want = (a["out/h"], a["out/y"])
    one, eye = backend.asarray((np.ones(()), np.eye(6)))
    for function, transition in ((ops.linear_recurrence, one), (ops.dense_recurrence, eye)):
        got = function(transition, x, starts=starts, method=method, chunk_size=16)
        close(got, want, entry["tolerance"]["float64_impl"])


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


# --- errors ----------------------------------------------------------------------------------------

X = np.zeros((2, 5, WIDTH))
M = np.zeros((2, 5, WIDTH, WIDTH))
_linear, _dense = ops.linear_recurrence, ops.dense_recurrence
ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "a_dtype": (lambda: _linear(1, X), r"^a has dtype int64, expected floating"),
    "a_axes": (lambda: _linear(X[None], X), r"^a has shape \(1, 2, 5, 3\), expected"),
    "a_block": (lambda: _linear(((X, X), (X,)), (X, X)), r"^a is a tuple of shapes .*expected"),
    "a_pair": (lambda: _linear((X, X[0]), (X, X)), r"^a is a tuple of shapes .*expected a pair"),
    "b_triple": (lambda: _linear((X, X), (X, X, X)), r"^b is a tuple of shapes .*expected a pair"),
    "b_block": (lambda: _linear((X, X), ((X, X), (X, X))), r"^b is a tuple of shapes .*expected"),
    "reverse_starts": (
        lambda: _linear(X, X, starts=np.zeros((2, 4), bool), reverse=True),
        r"^starts has shape \(2, 4\), expected \(2, 5\)",
    ),
    "reverse_valid": (
        lambda: _linear(X, X, valid=np.full((2, 5), 0.5), reverse=True),
        r"^valid has the value 0.5, expected only 0 and 1",
    ),
    "reverse_state": (
        lambda: _linear(X, X, X, reverse=True),
        r"^state has shape \(2, 5, 3\), expected \(2, 3\)",
    ),
    "reverse_method": (
        lambda: _linear(X, X, method="foo", reverse=True),
        r"^method is 'foo', expected one of",
    ),
    "dense_a": (lambda: _dense(M[..., :2], X), r"^a has shape \(2, 5, 3, 2\), expected .*\(3, 3\)"),
    "dense_a_time": (lambda: _dense(M[:, :2], X), r"^a has shape \(2, 2, 3, 3\), expected"),
    "dense_a_alone": (
        lambda: _dense(M[0, 0]),
        r"^a has shape \(3, 3\), expected \(\.\.\., T, N, N",
    ),
    "dense_not_square": (lambda: _dense(M[..., :2]), r"^a has shape \(2, 5, 3, 2\), expected"),
    "dense_a_dtype": (lambda: _dense(M.astype(int), X), r"^a has dtype int64, expected"),
    "dense_b": (lambda: _dense(M, X[0, 0]), r"^b has shape \(3,\), expected \(\.\.\., T, N\)"),
    "dense_state": (lambda: _dense(M, X, X), r"^state has shape \(2, 5, 3\), expected \(2, 3\)"),
    "angles": (lambda: ops.rotation(X[..., :2]), r"^angles has shape \(2, 5, 2\), expected"),
    "angles_dtype": (lambda: ops.rotation(np.zeros(3, int)), r"^angles has dtype int64, expected"),
}


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, backend: Backend) -> None:
    call, message = ERRORS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()
