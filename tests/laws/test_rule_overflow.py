"""What overflows stays in its segment."""

from __future__ import annotations

import numpy as np
import optree
import pytest

from cases.checks import METHODS, close, drawn, half_or_flag
from cases.ops import BATCH, OPS
from conftest import Backend

OVERFLOWING = [
    "linear_attention",
    "linear_attention_decay",
    "linear_attention_channel_decay",
    "linear_attention_normalised",
    "delta_rule",
    "delta_rule_decay",
    "delta_rule_channel_decay",
    "dplr_delta_rule",
    "dplr_delta_rule_decay",
    "mlstm",
    "softmax",
    "window_attention",
    "window_attention_rope",
    "window_attention_sinks",
    "window_attention_grouped",
]


@pytest.mark.parametrize("name", ["delta_rule", "delta_rule_channel_decay", "delta_product"])
def test_a_write_that_overflows_only_when_it_is_refined(name: str, backend: Backend) -> None:
    """A value near the largest number: the writes are finite, what is left of them to solve is not."""
    op = OPS[name]
    starts = np.zeros((BATCH, 40), dtype=bool)
    starts[:, 20] = True
    for seed in range(5):
        arrays = optree.tree_map(half_or_flag, op.draw(np.random.default_rng(seed), 40))
        how = {"starts": backend.asarray(starts), "method": "fused", "chunk_size": 40}
        want = np.asarray(op.run(backend.asarray(arrays), None, **how)[1])
        large = {**arrays, "v": arrays["v"].copy()}
        large["v"][0, 21] = 3e38
        with np.errstate(all="ignore"):
            got = np.asarray(op.run(backend.asarray(large), None, **how)[1])
        close((got[0, :20], got[1]), (want[0, :20], want[1]), 1e-5)


@pytest.mark.parametrize("name", ["delta_rule", "delta_product", "dplr_delta_rule"])
def test_writes_that_overflow_when_they_are_solved_for(name: str, backend: Backend) -> None:
    """Keys whose products are finite, and the products of those are not: a later segment does not see it."""
    op = OPS[name]
    starts = np.broadcast_to(np.isin(np.arange(40), (10, 20)), (BATCH, 40))
    arrays = optree.tree_map(half_or_flag, op.draw(np.random.default_rng(0), 40))
    how = {"starts": backend.asarray(starts), "method": "fused", "chunk_size": 40}
    want = op.run(backend.asarray(arrays), None, **how)
    for size in (1e9, 1e13, 1e17, 1e18, 3e38):
        large = {**arrays, "k": arrays["k"].copy()}
        large["k"][0, 12:15] *= size
        with np.errstate(all="ignore"):
            after, out = op.run(backend.asarray(large), None, **how)
        close(after, want[0], 1e-5)
        for part in ((0, slice(10)), (0, slice(20, None)), (1,)):
            close(np.asarray(out)[part], np.asarray(want[1])[part], 1e-5)


@pytest.mark.parametrize("size", [np.inf, 3e38, 1e25])
@pytest.mark.parametrize("name", OVERFLOWING)
def test_an_overflow_stays_in_its_segment(name: str, size: float, backend: Backend) -> None:
    """At step 8 of a segment from 5 to 11, in keys and values: no other segment changes, nor the past."""
    op, arrays, state, *_ = drawn(name, 17)
    arrays = optree.tree_map(lambda x: x.astype(np.float32), arrays)
    state = optree.tree_map(lambda x: x.astype(np.float32) if x.dtype.kind == "f" else x, state)
    starts = np.isin(np.arange(17), (5, 12)) & np.ones((2, 1), bool)
    bad = {n: x.copy() for n, x in arrays.items()}
    for key in ("k", "v"):
        if key in bad:
            bad[key][0, 8] = size
    with np.errstate(all="ignore"):
        want = op.run(
            *backend.asarray((arrays, state)), starts=backend.asarray(starts), method="sequential"
        )
        for method in (*METHODS[:3], "fused"):
            how = {"starts": backend.asarray(starts), "method": method, "chunk_size": 8}
            after, out = op.run(*backend.asarray((bad, state)), **how)
            kept = np.r_[:8, 12:17]
            close(np.asarray(out)[:, kept], np.asarray(want[1])[:, kept], 2e-5)
            close(np.asarray(out)[1], np.asarray(want[1])[1], 2e-5)
            close(after, want[0], 2e-5)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", list(OPS))
def test_a_nan_in_any_input_is_seen(name: str, backend: Backend) -> None:
    """At step 8 of a segment from 5 to 11: that step reads a NaN by every method, no other segment does."""
    op, arrays, state, *_ = drawn(name, 17)
    starts = backend.asarray(np.isin(np.arange(17), (5, 12)) & np.ones((2, 1), bool))
    leaves, tree = optree.tree_flatten(arrays)
    for i, x in enumerate(leaves):
        if x.dtype.kind != "f" or x.shape[:2] != (2, 17):
            continue
        bad = [*leaves[:i], x.copy(), *leaves[i + 1 :]]
        bad[i][0, 8] = np.nan
        given = backend.asarray((optree.tree_unflatten(tree, bad), state))
        for method in METHODS:
            with np.errstate(all="ignore"):
                out = op.run(*given, starts=starts, method=method, chunk_size=8)[1]
            wrong = [
                np.isnan(np.asarray(leaf)).reshape(2, 17, -1) for leaf in optree.tree_leaves(out)
            ]
            wrong = np.any([leaf.any(-1) for leaf in wrong], axis=0)
            assert wrong[0, 8] and not wrong[1].any() and not wrong[0, np.r_[:5, 12:17]].any(), (
                i,
                method,
            )
