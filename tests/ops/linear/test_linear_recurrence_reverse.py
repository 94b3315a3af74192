"""Linear recurrences backwards in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

from cases.checks import METHODS, at, close, drawn
from cases.ops import BATCH, Op
from conftest import Backend
from memcore import ops

REVERSED = (
    "linear_recurrence",
    "linear_recurrence_constant",
    "linear_recurrence_scalar",
    "linear_recurrence_scalar_constant",
    "linear_recurrence_complex",
    "linear_recurrence_complex_constant",
    "linear_recurrence_complex_scalar",
    "linear_recurrence_complex_scalar_constant",
    "linear_recurrence_block",
    "linear_recurrence_block_constant",
    "linear_recurrence_block_scalar",
)


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
        ("linear_recurrence", "fused", True),
        ("linear_recurrence_complex", "chunked", True),
        ("linear_recurrence_complex_scalar_constant", "fused", False),
        ("linear_recurrence_block_constant", "fused", True),
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
@pytest.mark.parametrize("name", ["linear_recurrence", "linear_recurrence_block_constant"])
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
