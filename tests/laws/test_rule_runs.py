"""Every rule against its plain loop, in every method: starts, padding, lengths, batch axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.checks import METHODS, RUNS, at, close, drawn, half_or_flag
from cases.ops import BATCH, OPS, loop
from conftest import Backend


@pytest.mark.parametrize(("name", "method", "given_initial"), RUNS)
def test_loop(name: str, method: str, given_initial: bool, backend: Backend, x64: None) -> None:
    """A state, an initial state at every start, and padding, all at once."""
    op, arrays, state, initial, starts, valid = drawn(name, 17, initial=given_initial)
    how = {"starts": starts, "valid": valid, "initial": initial}
    given_arrays, given_state = backend.asarray((arrays, state))
    got = op.run(given_arrays, given_state, **backend.asarray(how), method=method, chunk_size=5)
    close(got, loop(op, arrays, state, initial, starts, valid))


@pytest.mark.backend("numpy")
@pytest.mark.no_cover
@pytest.mark.parametrize("name", OPS)
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**20),
    length=st.integers(1, 19),
    chunk_size=st.integers(1, 23),
    which=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
)
def test_loop_for_any_length_and_chunk(
    name: str, backend: Backend, seed: int, length: int, chunk_size: int, which: Any
) -> None:
    op, arrays, *rest = drawn(name, length, seed)
    state, initial, starts, valid = (x if w else None for x, w in zip(rest, which, strict=True))
    before = state if state is not None else initial if initial is not None else op.empty(rest[0])
    want = loop(op, arrays, before, initial, starts, valid)
    how = {"starts": starts, "valid": valid, "initial": initial, "chunk_size": chunk_size}
    arrays, state, how = backend.asarray((arrays, state, how))
    how["chunk_size"] = chunk_size
    for method in (*METHODS, "auto"):
        close(op.run(arrays, state, **how, method=method), want)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", OPS)
def test_initial_is_the_state_without_one(name: str, backend: Backend) -> None:
    op, arrays, _, initial, _, _ = drawn(name, 5)
    arrays, initial = backend.asarray(optree.tree_map(half_or_flag, (arrays, initial)))
    got = op.run(arrays, None, initial=initial, method="sequential")
    close(got, op.run(arrays, initial, method="sequential"))


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize(("name", "method", "given_initial"), RUNS)
def test_packed_is_apart(name: str, method: str, given_initial: bool, backend: Backend) -> None:
    op, arrays, state, initial, _, _ = drawn(name, 13, initial=given_initial)
    starts = np.zeros((BATCH, 13), dtype=bool)
    starts[:, [4, 5, 10]] = True
    how = backend.asarray({"starts": starts, "initial": initial})
    after, out = op.run(*backend.asarray((arrays, state)), **how, method=method, chunk_size=4)
    for begin, end in ((0, 4), (4, 5), (5, 10), (10, 13)):
        part = {n: x if n in op.constant else x[:, begin:end] for n, x in arrays.items()}
        before = state if begin == 0 else initial
        alone, want = op.run(*backend.asarray((part, before)), method=method, chunk_size=4)
        close(at(out, slice(None), slice(begin, end)), want)
    close(after, alone)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("method", METHODS)
def test_padding_is_taken_out(name: str, method: str, backend: Backend) -> None:
    op, arrays, state, *_ = drawn(name, 13)
    valid = np.ones((BATCH, 13), dtype=bool)
    valid[:, [0, 3, 4, 9, 12]] = False
    shorter = {n: x if n in op.constant else x[:, valid[0]] for n, x in arrays.items()}
    how = {"method": method, "chunk_size": 4}
    got = op.run(*backend.asarray((arrays, state)), valid=backend.asarray(valid), **how)
    want = op.run(*backend.asarray((shorter, state)), **how)
    close(got[0], want[0])
    close(at(got[1], slice(None), valid[0]), want[1])
    for leaf in optree.tree_leaves(at(got[1], slice(None), ~valid[0])):
        assert not leaf.any()


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", OPS)
def test_all_padding_changes_nothing(name: str, backend: Backend) -> None:
    op, arrays, state, *_ = drawn(name, 5)
    arrays, state = optree.tree_map(half_or_flag, (arrays, state))
    valid = backend.asarray(np.zeros((BATCH, 5), dtype=bool))
    for method in METHODS:
        after, out = op.run(*backend.asarray((arrays, state)), valid=valid, method=method)
        close(after, state, 1e-6)
        assert not any(np.any(np.asarray(leaf)) for leaf in optree.tree_leaves(out))


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_length_zero_and_one(name: str, method: str, backend: Backend) -> None:
    op, arrays, state, *_ = drawn(name, 5)
    for length in (0, 1):
        part = {n: x if n in op.constant else x[:, :length] for n, x in arrays.items()}
        after, out = op.run(*backend.asarray((part, state)), method=method)
        if length == 0:
            close(after, state)
            assert all(np.asarray(leaf).shape[:2] == (BATCH, 0) for leaf in optree.tree_leaves(out))
        else:
            close((after, out), loop(op, part, state))


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_an_empty_batch(name: str, method: str, backend: Backend) -> None:
    op, arrays, state, *_ = drawn(name, 7)
    none = {n: x if n in op.constant else x[:0] for n, x in arrays.items()}
    want = optree.tree_map(lambda x: x[:0], loop(op, arrays, state))
    close(op.run(backend.asarray(none), None, method=method, chunk_size=4), want)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", [n for n in OPS if not OPS[n].constant])
@pytest.mark.parametrize("method", METHODS)
def test_batch_axes(name: str, method: str, backend: Backend) -> None:
    """None at all, and several; state, initial and flags broadcast."""
    op, arrays, state, initial, starts, _ = drawn(name, 7)
    want = loop(op, arrays, state, initial, starts)
    for i in range(BATCH):
        how = {"starts": starts[i], "initial": at(initial, i)}
        one = op.run(
            *backend.asarray((at(arrays, i), at(state, i))), **backend.asarray(how), method=method
        )
        close(one, at(want, i))
    wide = optree.tree_map(lambda x: np.stack([x] * 3), arrays)
    how = backend.asarray({"starts": starts, "initial": initial})
    got = op.run(*backend.asarray((wide, state)), **how, method=method)
    close(got, optree.tree_map(lambda x: np.stack([x] * 3), want))
