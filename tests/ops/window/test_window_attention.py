"""Attention over a window and without one: sinks, grouped queries, others' attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.checks import METHODS, at, close, drawn, flags, half_or_flag
from cases.ops import BATCH, HEADS, KEYS, VALUES, WINDOW, Op, loop
from cases.ops.window.window_attention import window_attention
from conftest import Backend
from golden_vectors import load
from memcore import ops

KINDS: dict[str, dict[str, Any]] = {
    "plain": {"position": None},
    "rope": {"position": "rope"},
    "alibi": {"position": "alibi", "groups": 2},
    "sinks": {"position": None, "sinks": True, "groups": 2},
}


def case(kind: str, places: int, length: int, seed: int = 0) -> tuple[Op, Any, Any, Any, Any]:
    """``(op, arrays, state, starts, valid)``: a window as long as all there is, and a cache of ``places``."""
    op, rng = window_attention(window=places + length, **KINDS[kind]), np.random.default_rng(seed)
    filled = np.arange(places) >= rng.integers(0, places + 1, (BATCH, 1))
    state = (
        rng.standard_normal((BATCH, places, HEADS, KEYS)) * filled[..., None, None],
        rng.standard_normal((BATCH, places, HEADS, VALUES)) * filled[..., None, None],
        filled,
    )
    return (op, op.draw(rng, length), state, *flags(rng, length))


def widened(state: Any, count: int) -> Any:
    """The same state with ``count`` more places in front, which are empty."""
    return optree.tree_map(
        lambda x: np.concatenate([np.zeros((BATCH, count, *x.shape[2:]), x.dtype), x], axis=1),
        state,
    )


def part(arrays: Any, begin: int, end: int) -> Any:
    return {n: x if n == "sinks" else x[:, begin:end] for n, x in arrays.items()}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["attn_softmax_sink", "attn_softmax_gqa"])
def test_golden(name: str, method: str, backend: Backend, x64: None) -> None:
    entry, a = load(name)
    q, k, v = backend.asarray(tuple(a[f"in/{n}"] for n in "qkv"))
    sinks = backend.asarray(a["in/sink_bias"]) if "in/sink_bias" in a else None
    how = {"sinks": sinks, "method": method, "chunk_size": 16}
    _, out = ops.window_attention(q, k, v, 8, **how)
    close(out, a["out/o"], entry["tolerance"]["float64_impl"])


@pytest.mark.parametrize(
    ("name", "position"),
    [
        ("attn_softmax_causal", None),
        ("attn_softmax_alibi", "alibi"),
        ("attn_softmax_rope_halfsplit", "rope"),
    ],
)
def test_golden_without_a_window(
    name: str, position: str | None, backend: Backend, x64: None
) -> None:
    entry, a = load(name)
    q, k, v = backend.asarray(tuple(a[f"in/{n}"] for n in "qkv"))
    state, out = ops.window_attention(q, k, v, None, position=position, chunk_size=16)
    close(out, a["out/o"], entry["tolerance"]["float64_impl"])
    close(state, (a["in/k"], a["in/v"], np.ones(a["in/k"].shape[:2], bool)), 0)


@pytest.mark.requires("torch")
@pytest.mark.backend("numpy")
def test_torch(backend: Backend) -> None:
    """Without a window, several sequences in a row, four query heads for two heads of keys."""
    import torch

    _, x, _, starts, _ = case("alibi", 0, 17)
    _, out = ops.window_attention(x["q"], x["k"], x["v"], None, starts=starts, chunk_size=5)
    number, i = np.cumsum(starts, -1), np.arange(17)
    mask = (i[:, None] >= i) & (number[:, :, None] == number[:, None, :])
    q, k, v = (torch.tensor(np.moveaxis(x[n], 2, 1)) for n in "qkv")
    want = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=torch.tensor(mask[:, None]), enable_gqa=True
    )
    close(out, np.moveaxis(want.numpy(), 1, 2))


@pytest.mark.backend("jax")
def test_dot_product_attention(backend: Backend) -> None:
    import jax

    x = optree.tree_map(half_or_flag, case("rope", 0, 17)[1])
    q, k, v = backend.asarray((x["q"], x["k"], x["k"] + 1))
    _, out = ops.window_attention(q, k, v, None)
    close(out, jax.nn.dot_product_attention(q, k, v, is_causal=True), 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_loop_without_a_window(kind: str, backend: Backend, x64: None) -> None:
    """A cache that holds something, starts, and padding, all at once."""
    op, arrays, state, starts, valid = case(kind, 3, 12)
    want = loop(op, arrays, widened(state, 12), None, starts, valid)
    arrays, state, how = backend.asarray((arrays, state, {"starts": starts, "valid": valid}))
    close(op.run(arrays, state, window=None, **how, chunk_size=5), want)


@pytest.mark.backend("numpy")
@settings(max_examples=40)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    seed=st.integers(0, 2**20),
    places=st.integers(0, 5),
    length=st.integers(1, 13),
    chunk_size=st.one_of(st.none(), st.integers(1, 15)),
    which=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_any_length_and_any_split(
    backend: Backend, kind: str, seed: int, places: int, length: int, chunk_size: Any, which: Any
) -> None:
    op, arrays, *rest = case(kind, places, length, seed)
    state, starts, valid = (x if w else None for x, w in zip(rest, which, strict=True))
    before = widened(rest[0] if which[0] else at(rest[0], slice(None), slice(0, 0)), length)
    op = window_attention(window=before[2].shape[1], **KINDS[kind])
    want = loop(op, arrays, before, None, starts, valid)
    how = {"window": None, "chunk_size": chunk_size}
    close(op.run(arrays, state, starts=starts, valid=valid, **how), want)
    for t in range(length + 1):
        outs, after = [], state
        for begin, end in ((0, t), (t, length)):
            cut = [None if x is None else x[:, begin:end] for x in (starts, valid)]
            x = part(arrays, begin, end)
            after, out = op.run(x, after, starts=cut[0], valid=cut[1], **how)
            outs.append(out)
        close((after, np.concatenate(outs, axis=1)), want)


@pytest.mark.backend("numpy", "array_api_strict")
def test_no_batch_axis_and_two(backend: Backend) -> None:
    op, arrays, state, starts, _ = case("alibi", 3, 7)
    want = loop(op, arrays, widened(state, 7), None, starts)
    how = {"starts": backend.asarray(starts[1]), "window": None}
    close(op.run(*backend.asarray((at(arrays, 1), at(state, 1))), **how), at(want, 1))
    twice, how = optree.tree_map(lambda x: np.stack([x] * 2), (arrays, want)), {"window": None}
    arrays, want = twice
    got = op.run(*backend.asarray((arrays, state)), starts=backend.asarray(starts), **how)
    close(got, want)


@pytest.mark.backend("numpy", "array_api_strict")
def test_length_zero(backend: Backend) -> None:
    for window, places in ((None, 3), (4, 4)):
        op, arrays, state, *_ = case("sinks", places, 5)
        x, state = backend.asarray((part(arrays, 0, 0), state))
        after, out = op.run(x, state, window=window)
        close(after, state, 0)
        assert out.shape == (BATCH, 0, 2 * HEADS, VALUES)


@pytest.mark.backend("numpy")
def test_float16(backend: Backend) -> None:
    op, arrays, state, starts, _ = case("sinks", 3, 17)
    low = optree.tree_map(lambda x: x.astype(np.float16), arrays)
    arrays = optree.tree_map(lambda x: x.astype(np.float32), low)
    state = optree.tree_map(half_or_flag, state)
    want = op.run(arrays, state, starts=starts, window=None)
    after, out = op.run(low, state, starts=starts, window=None)
    assert out.dtype == np.float16
    assert after[0].dtype == after[1].dtype == np.float32
    close(after, want[0], 1e-5)
    close(out.astype(np.float32), want[1], 2e-3)


@pytest.mark.backend("jax")
def test_gradients_without_a_window(backend: Backend, x64: None) -> None:
    """Those of a window as long as all there is, taken step by step."""
    import jax
    import jax.numpy as jnp

    op, arrays, state, starts, valid = case("sinks", 3, 12)
    how = backend.asarray({"starts": starts, "valid": valid})
    filled, wide = backend.asarray((state[2], widened(state, 12)[2]))

    def loss(x: Any, items: Any, filled: Any, method: str, window: int | None) -> Any:
        after, out = op.run(x, (*items, filled), **how, method=method, chunk_size=5, window=window)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in (*after[:2], out))

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=(3, 4))
    items = backend.asarray((state[:2], widened(state, 12)[:2]))
    got = gradient(backend.asarray(arrays), items[0], filled, "fused", None)
    want = gradient(backend.asarray(arrays), items[1], wide, "sequential", 15)
    close(got, (want[0], at(want[1], slice(None), slice(12, None))))


@pytest.mark.backend("numpy", "array_api_strict")
def test_a_sink_takes_its_share(backend: Backend) -> None:
    """With equal scores, n items of value 1 and a sink of weight exp(s): n / (n + exp(s))."""
    zero, one = np.zeros((7, 3, 2), np.float32), np.ones((7, 3, 1), np.float32)
    sinks = np.array([-1e4, 0.0, np.log(3.0)], np.float32)
    for window in (None, 5):
        n = np.minimum(np.arange(1, 8), window or 7)[:, None]
        _, out = ops.window_attention(*backend.asarray((zero, zero, one)), window,
                                      sinks=backend.asarray(sinks))  # fmt: skip
        close(out, (n / (n + np.exp(sinks))).astype(np.float32)[..., None], 1e-6)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "name", ["window_attention", "window_attention_rope", "window_attention_alibi"]
)
def test_a_window_forgets_exactly_after_its_length(
    name: str, method: str, backend: Backend
) -> None:
    op, arrays, *_ = drawn(name, 17)
    arrays = optree.tree_map(half_or_flag, arrays)
    other = {n: np.array(x) for n, x in arrays.items()}
    other["k"][:, 6] += 1
    other["v"][:, 6] += 100
    one, two = (
        np.asarray(op.run(backend.asarray(x), None, method=method, chunk_size=5)[1])
        for x in (arrays, other)
    )
    changed = np.abs(one - two).max((0, 2, 3)) > 1e-3
    np.testing.assert_array_equal(np.flatnonzero(changed), np.arange(6, 6 + WINDOW))


@pytest.mark.backend("jax")
def test_a_long_window_is_full_attention(backend: Backend) -> None:
    import jax

    q, k, v = backend.asarray(
        optree.tree_map(half_or_flag, drawn("window_attention", 17)[1])
    ).values()
    want = jax.nn.dot_product_attention(q, k, v.repeat(2, -1)[..., :KEYS], is_causal=True)
    for window in (17, 40):
        _, out = ops.window_attention(q, k, v.repeat(2, -1)[..., :KEYS], window)
        close(out, want, 1e-5)
    want = jax.nn.dot_product_attention(
        q, k, v.repeat(2, -1)[..., :KEYS], is_causal=True, local_window_size=(5, 0)
    )
    _, out = ops.window_attention(q, k, v.repeat(2, -1)[..., :KEYS], 6)
    close(out, want, 1e-5)


@pytest.mark.backend("numpy")
@pytest.mark.requires("torch")
def test_a_long_window_is_full_attention_in_torch(backend: Backend) -> None:
    import torch

    arrays = drawn("window_attention", 17)[1]
    q, k, v = (torch.tensor(np.moveaxis(arrays[n], 1, 2)) for n in "qkv")
    full = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).numpy()
    for window in (17, 40):
        _, out = ops.window_attention(*(arrays[n] for n in "qkv"), window)
        close(out, np.moveaxis(full, 1, 2), 1e-12)


@pytest.mark.backend("numpy", "array_api_strict")
def test_an_empty_batch_of_full_attention(backend: Backend) -> None:
    q, v = backend.asarray((np.zeros((0, 7, 4, 2)), np.zeros((0, 7, 2, 3))))
    (keys, _, filled), out = ops.window_attention(q, q[..., :2, :], v, None)
    assert (keys.shape, filled.shape, out.shape) == ((0, 7, 2, 2), (0, 7), (0, 7, 4, 3))


@pytest.mark.backend("jax")
def test_a_gradient_pads_no_line(backend: Backend) -> None:
    """Keys and values are cut where they stand: behind the window in one line, their gradients would be
    padded to its length."""
    import jax

    q = backend.asarray(np.random.default_rng(0).standard_normal((64, 1, 4), dtype=np.float32))

    def loss(k: Any) -> Any:
        return ops.window_attention(q, k, k, 5, method="fused")[1].sum()

    assert " pad" not in str(jax.make_jaxpr(jax.grad(loss))(q))
