"""Promises of the Recurrent Memory Transformer: what crosses a border, and what a gradient keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from cases.models.base import ModelCase
from cases.models.grid.rmt import CASES, rmt
from conftest import Backend

SMALL: dict[str, Any] = {
    "layers": 1,
    "heads": 2,
    "segment": 4,
    "memory_tokens": 2,
    "mlp_factor": 1.0,
}
MODEL = memcore.RMT(4, **SMALL)


def changes(model: memcore.RMT, at: int, starts: Any = None) -> Any:
    """Which of 24 outputs change with input ``at``, by how much."""
    params, xs = model.init(0, "float64"), np.random.default_rng(0).normal(size=(24, 4))
    other = np.array(xs)
    other[at, 0] += 1
    a, b = (model.apply(params, x, starts=starts)[1] for x in (xs, other))
    return np.abs(a - b).max(axis=-1)


def test_a_memory_reaches_every_segment_behind_it_and_no_start() -> None:
    felt = changes(MODEL, 1)
    assert felt[0] == 0 and np.all(felt[1:] > 1e-12)
    felt = changes(MODEL, 1, np.arange(24) == 9)
    assert np.all(felt[1:9] > 1e-12) and not felt[9:].any()


def test_only_the_last_piece_of_a_segment_writes() -> None:
    params, xs = MODEL.init(0, "float64"), np.random.default_rng(0).normal(size=(8, 4))
    packed = MODEL.apply(params, xs, starts=np.arange(8) == 2)[0]
    begun = memcore.initial_state(MODEL, params, dtype="float64", phase=2)
    alone = MODEL.apply(params, xs[2:], begun)[0]
    np.testing.assert_allclose(packed["memory"]["memory"], alone["memory"]["memory"], atol=1e-12)


def test_both_ways_stays_in_the_segment_and_streams_by_whole_ones() -> None:
    model = memcore.RMT(4, **SMALL, causal=False)
    felt = changes(model, 6)
    assert not felt[:4].any() and np.all(felt[4:] > 1e-12)
    params, xs = model.init(0, "float64"), np.random.default_rng(0).normal(size=(24, 4))
    state, first = model.apply(params, xs[:8])
    second = model.apply(params, xs[8:], state)[1]
    np.testing.assert_allclose(
        np.concatenate([first, second]), model.apply(params, xs)[1], atol=1e-12
    )


def test_both_ways_inside_a_stack(backend: Backend) -> None:
    """Its parts are asked for their initial states, by a run of one step."""
    inner = memcore.RMT(4, **SMALL, causal=False)
    model = memcore.Stack((inner,))
    params = backend.asarray(inner.init(0))
    xs = backend.asarray(np.random.default_rng(0).normal(size=(6, 4)).astype("float32"))
    starts = backend.asarray(np.arange(6) == 1)
    begun = [
        memcore.initial_state(m, p, phase=3)
        for m, p in ((inner, params), (model, {"layer_0": params}))
    ]
    _, want = inner.apply(params, xs, begun[0], starts=starts)
    _, found = model.apply({"layer_0": params}, xs, begun[1], starts=starts)
    np.testing.assert_allclose(backend.to_numpy(found), backend.to_numpy(want), atol=1e-6)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_padding_has_its_places_and_is_no_token(case: ModelCase, backend: Backend) -> None:
    """Anywhere in the grid, with starts on it, segments of nothing else, and each row by its own."""
    model: Any = case.model
    rng = np.random.default_rng(0)
    params = model.init(rng, "float64")
    for phase in range(model.segment):
        xs, starts = rng.normal(size=(3, 14, 4)), rng.random((3, 14)) < 0.2
        valid = rng.random((3, 14)) < [[0.9], [0.5], [0.2]]
        begun = memcore.initial_state(model, params, (3,), phase=phase, dtype="float64")
        want = [
            rmt(params, *row, model, ok, phase) for *row, ok in zip(xs, starts, valid, strict=True)
        ]
        args = backend.asarray((params, xs, begun, starts, valid))
        for method in model.methods:
            how = {"starts": args[3], "valid": args[4], "method": method}
            found = backend.to_numpy(model.apply(*args[:3], **how)[1])
            np.testing.assert_allclose(found, want, atol=1e-9)


@pytest.mark.parametrize("mask_future", [True, False])
def test_read_rows_of_an_older_memory_see_a_newer_one_unless_masked(mask_future: bool) -> None:
    from memcore.layers.memory_tokens import read_rows

    model = memcore.RMT(4, **{**SMALL, "layers": 2}, past=2, mask_future=mask_future)
    params, rng = model.init(0, "float64"), np.random.default_rng(0)
    memory = rng.normal(size=(3, 2, 4))
    other = np.array(memory)
    other[2] += rng.normal(size=(2, 4))
    filled = np.asarray(3, np.int32)
    a, b = (
        read_rows(params, {"memory": m, "memories": filled}, 2, False, mask_future)["v"]
        for m in (memory, other)
    )
    same = np.abs(a - b)[1].max(axis=(0, 2)) == 0  # of the second layer's six rows
    assert list(same) == [mask_future] * 4 + [False] * 2


@pytest.mark.parametrize("layers", [1, 2])
def test_what_an_older_memory_sees_reaches_tokens_through_a_second_layer(layers: int) -> None:
    xs = np.random.default_rng(0).normal(size=(24, 4))
    masked, seen = (
        memcore.RMT(4, **{**SMALL, "layers": layers}, past=2, mask_future=mask_future)
        for mask_future in (True, False)
    )
    params = masked.init(0, "float64")
    a, b = (model.apply(params, xs)[1] for model in (masked, seen))
    assert np.array_equal(a, b) == (layers == 1)


def test_the_past_is_as_long_as_it_says() -> None:
    model = memcore.RMT(4, **SMALL, past=2)
    params, xs = model.init(0, "float64"), np.random.default_rng(0).normal(size=(24, 4))
    counts = [int(model.apply(params, xs[:t])[0]["memory"]["memories"]) for t in (0, 4, 8, 12, 24)]
    assert counts == [1, 2, 3, 3, 3]


@pytest.mark.backend("jax")
def test_horizon_stops_the_gradient_at_every_second_border(backend: Backend) -> None:
    import jax

    xs = jax.random.normal(jax.random.key(1), (24, 4))

    def reached(horizon: int | None, segment: int) -> list[bool]:
        """The segments to which the gradient of one segment's outputs reaches."""
        model = memcore.RMT(4, **SMALL, horizon=horizon)
        params = model.init(jax.random.key(0))
        here = slice(4 * segment, 4 * segment + 4)
        gradient = jax.grad(lambda x: model.apply(params, x)[1][here, 0].sum())(xs)
        return [bool(x) for x in np.abs(gradient).reshape(6, 16).max(1) > 0]

    assert reached(None, 5) == [True] * 6
    assert reached(2, 5) == [False] * 4 + [True] * 2
    assert reached(2, 4) == [False] * 4 + [True, False]
    assert reached(2, 3) == [False] * 2 + [True] * 2 + [False] * 2


@pytest.mark.backend("jax")
def test_xl_memories_carry_no_gradient(backend: Backend) -> None:
    """With a horizon of one segment nothing but the segment before could carry it."""
    import jax

    model = memcore.RMT(4, **SMALL, xl=True, horizon=1)
    params = model.init(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (8, 4))
    gradient = jax.grad(lambda x: model.apply(params, x)[1][4:, 0].sum())(xs)
    assert not gradient[:4].any() and np.asarray(gradient[4:]).any(axis=-1).all()


@pytest.mark.backend("jax")
def test_replayed_gradients_are_the_plain_ones(backend: Backend, x64: None) -> None:
    """Segments computed again, against the fold over steps, which keeps everything."""
    import jax

    params = MODEL.init(jax.random.key(0), "float64")
    xs = jax.random.normal(jax.random.key(1), (2, 16, 4), "float64")

    def gradient(method: str) -> Any:
        def loss(p: Any) -> Any:
            return jax.numpy.sin(MODEL.apply(p, xs, method=method)[1]).sum()

        return jax.grad(loss)(params)

    pairs = zip(
        jax.tree.leaves(gradient("fused")), jax.tree.leaves(gradient("sequential")), strict=True
    )
    for got, want in pairs:
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.backend("jax")
def test_the_gradient_keeps_one_memory_per_segment(backend: Backend) -> None:
    """Beyond inputs and outputs; the activations are those of one segment, however many there are."""
    import jax

    model = memcore.RMT(32, layers=2, heads=4, segment=16, memory_tokens=2)
    params = model.init(jax.random.key(0))

    def temporaries(segments: int) -> int:
        xs = jax.ShapeDtypeStruct((16 * segments, 32), "float32")
        f = jax.jit(jax.grad(lambda p, x: jax.numpy.sin(model.apply(p, x)[1]).sum()))
        return f.lower(params, xs).compile().memory_analysis().temp_size_in_bytes

    sizes = {n: temporaries(n) for n in (4, 16, 64)}
    per_segment = (sizes[64] - sizes[16]) / 48
    # Inputs, outputs and their adjoints, placed on the grid, a few times over: far from two layers' insides.
    given = 4 * 16 * 32
    activations = 4 * 2 * 16 * (12 * 32 + 4 * 2 * 16)
    assert per_segment < 8 * given and per_segment < activations / 3
    assert sizes[64] - sizes[16] < 4.5 * (sizes[16] - sizes[4])
