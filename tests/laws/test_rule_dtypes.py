"""Every rule in half precision, in float32, and with arrays of several dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

from cases.checks import INITIALS, METHODS, RUNS, close, drawn, half_or_flag
from cases.ops import OPS
from conftest import Backend


@pytest.mark.backend("numpy")
@pytest.mark.parametrize(("name", "method", "given_initial"), RUNS)
def test_float16(name: str, method: str, given_initial: bool, backend: Backend) -> None:
    half_precision(name, method, given_initial, backend, np.float16, 2e-3)


@pytest.mark.backend("jax")
@pytest.mark.parametrize(("name", "given_initial"), INITIALS)
def test_bfloat16(name: str, given_initial: bool, backend: Backend) -> None:
    import jax.numpy as jnp

    half_precision(name, "fused", given_initial, backend, jnp.bfloat16, 1e-2)


def half_precision(
    name: str, method: str, given_initial: bool, backend: Backend, half: Any, tolerance: float
) -> None:
    """A float32 state, and the fold's numbers, which are rounded only on the way in and out."""
    op, arrays, state, initial, starts, _ = drawn(name, 17, initial=given_initial)
    low = optree.tree_map(lambda x: x.astype(half), arrays)
    arrays = optree.tree_map(lambda x: x.astype(np.float32), low)
    state, initial = optree.tree_map(half_or_flag, (state, initial))
    how = backend.asarray({"starts": starts, "initial": initial})
    want = op.run(*backend.asarray((arrays, state)), **how, method="sequential")
    low = optree.tree_map(backend.xp.asarray, low)
    after, out = op.run(low, backend.asarray(state), **how, method=method, chunk_size=5)
    assert {x.dtype for x in optree.tree_leaves(out)} == {np.dtype(half)}
    assert {str(x.dtype) for x in optree.tree_leaves(after)} <= {"float32", "bool"}
    close(after, want[0], 1e-5)
    for a, b in zip(optree.tree_leaves(out), optree.tree_leaves(want[1]), strict=True):
        close(np.asarray(a).astype(np.float32), b, tolerance)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize(
    ("name", "given_initial", "length"),
    [
        *((*case, 17) for case in INITIALS),
        ("linear_recurrence", True, 256),
        ("delta_rule_decay", True, 256),
        ("softmax", True, 256),
        ("window_attention_sinks", False, 256),
    ],
)
def test_the_methods_agree_in_float32(
    name: str, given_initial: bool, length: int, backend: Backend
) -> None:
    op, arrays, state, initial, starts, valid = drawn(name, length, initial=given_initial)
    arrays, state, initial = optree.tree_map(half_or_flag, (arrays, state, initial))
    how = backend.asarray({"starts": starts, "valid": valid, "initial": initial})
    arrays, state = backend.asarray((arrays, state))
    want = op.run(arrays, state, **how, method="sequential")
    for method in METHODS[1:]:
        close(op.run(arrays, state, **how, method=method), want, 1e-5)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("method", ["sequential", "fused"])
def test_one_array_may_be_float64(name: str, method: str, backend: Backend) -> None:
    """Results and states have the one dtype that the values say, whichever array differs."""
    op, arrays, *_ = drawn(name, 7)
    low = optree.tree_map(half_or_flag, arrays)
    want = op.run(backend.asarray(low), None, method=method)
    for other in arrays:
        got = op.run(backend.asarray({**low, other: arrays[other]}), None, method=method)
        dtypes = {str(np.asarray(x).dtype) for x in optree.tree_leaves(got)} - {"bool"}
        assert len(dtypes) == 1 and dtypes <= {"float32", "float64"}
        close(got, want, 1e-5)
