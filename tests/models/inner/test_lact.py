"""LaCT: what is true of it alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from cases.models.inner.lact import of
from conftest import Backend

HOW: Any = {"heads": 2, "attention_heads": 2}


@pytest.mark.parametrize("momentum", [False, True])
def test_muon_on_whole_matrices(momentum: bool, backend: Backend, x64: None) -> None:
    """Chunks of more rows than a matrix has: no sum of them has a singular value near zero."""
    how: Any = {"muon": True, "momentum": momentum, "position": "alibi", **HOW}
    model = memcore.LaCT(6, window=8, mini_batch=8, hidden_size=4, **how)
    params = model.init(0, "float64")
    xs = np.random.default_rng(0).standard_normal((29, 6))
    starts = np.arange(29) == 16
    _, ys = model.apply(*backend.asarray((params, xs)), starts=backend.asarray(starts))
    want = of(model)(params, xs, starts)
    np.testing.assert_allclose(np.asarray(ys), want, rtol=0, atol=1e-10)


@pytest.mark.backend("numpy")
def test_the_memory_sees_beyond_the_window(backend: Backend) -> None:
    """Another first chunk changes what is read after it, though no window reaches back to it."""
    model = memcore.LaCT(8, window=4, mini_batch=4, rate=1.0, **HOW)
    params, rng = model.init(0, "float64"), np.random.default_rng(0)
    xs = rng.standard_normal((12, 8))
    other = np.concatenate([rng.standard_normal((4, 8)), xs[4:]])
    one, two = (model.apply(params, x)[1] for x in (xs, other))
    assert np.abs(one[7:] - two[7:]).max() > 1e-3
    starts = np.arange(12) == 4
    one, two = (model.apply(params, x, starts=starts)[1] for x in (xs, other))
    np.testing.assert_array_equal(one[4:], two[4:])


@pytest.mark.backend("numpy")
def test_a_chunk_reads_before_it_writes(backend: Backend) -> None:
    """Inside the first chunk the memory is the one at starts, whatever the rates are."""
    model = memcore.LaCT(8, mini_batch=8, **HOW)
    params = model.init(0)
    faster = {**params, "rate": {**params["rate"], "bias": params["rate"]["bias"] + 4}}
    xs = np.random.default_rng(0).standard_normal((9, 8)).astype("float32")
    one, two = (model.apply(p, xs)[1] for p in (params, faster))
    np.testing.assert_array_equal(one[:8], two[:8])
    assert np.abs(one[8] - two[8]).max() > 1e-3


@pytest.mark.backend("numpy")
def test_errors(backend: Backend) -> None:
    with pytest.raises(
        ValueError, match="^attention_heads is 3, expected a divisor of in_features 8"
    ):
        memcore.LaCT(8, attention_heads=3)
    with pytest.raises(ValueError, match="^heads is 3, expected a divisor of in_features 8"):
        memcore.LaCT(8, heads=3)
