"""Promises of segment recurrence: it reaches over segments, by what was said, without a gradient."""

from __future__ import annotations

import numpy as np
import pytest

import memcore
from conftest import Backend

MODEL = memcore.SegmentAttention(4, heads=2, segment=4)


def test_it_reaches_over_any_number_of_segments_and_not_over_a_start() -> None:
    params, xs = MODEL.init(0, "float64"), np.random.default_rng(0).normal(size=(24, 4))
    other = np.array(xs)
    other[1] += 1
    changed = np.abs(MODEL.apply(params, xs)[1] - MODEL.apply(params, other)[1]).max(axis=-1)
    assert np.all(changed[1:] > 1e-9) and changed[0] == 0
    starts = np.arange(24) == 9
    a, b = (MODEL.apply(params, x, starts=starts)[1] for x in (xs, other))
    np.testing.assert_array_equal(a[9:], b[9:])


@pytest.mark.backend("jax")
def test_no_gradient_reaches_the_segment_before(backend: Backend) -> None:
    import jax

    params = MODEL.init(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (8, 4))
    gradient = jax.grad(lambda x: MODEL.apply(params, x)[1][4:].sum())(xs)
    assert not gradient[:4].any() and np.asarray(gradient[4:]).any(axis=-1).all()
