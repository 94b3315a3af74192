"""Memory rules as functions: against golden vectors and plain loops, in every method."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import optree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Backend
from golden_vectors import load
from memcore import ops
from memcore.ops.causal_convolution import CausalConvolution
from memcore.ops.delta_rule import DeltaRule, unit_lower_inverse
from memcore.ops.linear_attention import LinearAttentionRule
from memcore.ops.linear_recurrence import LinearRecurrence
from memcore.ops.window_attention import WindowAttention
from op_cases import BATCH, HEADS, KEYS, OPS, VALUES, WIDTH, WINDOW, Op, loop

METHODS = ("sequential", "associative", "chunked", "fused")
DECAYED = (
    "attention_decay",
    "attention_channel_decay",
    "attention_normalised_decay",
    "gated_delta",
    "channel_gated_delta",
)


def close(got: Any, want: Any, tolerance: float = 1e-10) -> None:
    """Two trees agree within `tolerance` of max(1, scale), in shapes and kinds of dtype too."""
    assert optree.tree_structure(got) == optree.tree_structure(want)
    for a, b in zip(optree.tree_leaves(got), optree.tree_leaves(want), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        assert a.dtype.kind == b.dtype.kind
        if b.dtype.kind == "b":
            np.testing.assert_array_equal(a, b)
        else:
            scale = max(1.0, float(np.max(np.abs(b), initial=0)))
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


def at(tree: Any, *index: Any) -> Any:
    return optree.tree_map(lambda x: np.asarray(x)[index], tree)


def flags(rng: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts, several in a row among them, and steps that are not padding."""
    return rng.random((BATCH, length)) < 0.3, rng.random((BATCH, length)) < 0.75


def drawn(name: str, length: int, seed: int = 0) -> tuple[Op, Any, Any, Any, Any, Any]:
    """``(op, arrays, state, initial, starts, valid)``."""
    op, rng = OPS[name], np.random.default_rng(seed)
    return (op, op.draw(rng, length), op.state(rng), op.state(rng), *flags(rng, length))


# --- against plain loops ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("method", METHODS)
def test_loop(name: str, method: str, backend: Backend, x64: None) -> None:
    """A state, an initial state at every start, and padding, all at once."""
    op, arrays, state, initial, starts, valid = drawn(name, 17)
    how = {"starts": starts, "valid": valid, "initial": initial}
    given_arrays, given_state = backend.asarray((arrays, state))
    got = op.run(given_arrays, given_state, **backend.asarray(how), method=method, chunk_size=5)
    close(got, loop(op, arrays, state, initial, starts, valid))


@pytest.mark.backend("numpy")
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
    zeros = optree.tree_map(np.zeros_like, rest[0])
    before = state if state is not None else initial if initial is not None else zeros
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


def half_or_flag(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) if x.dtype.kind == "f" else x


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("method", METHODS)
def test_packed_is_apart(name: str, method: str, backend: Backend) -> None:
    op, arrays, state, initial, _, _ = drawn(name, 13)
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


@pytest.mark.backend("numpy", "array_api_strict")
def test_a_decay_may_be_constant_in_time_or_over_the_batch(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    b = rng.standard_normal((2, 5, 3)).astype(np.float32)
    for shape in ((3,), (1, 3), (5, 3), (1, 1, 3), (2, 1, 3), (1, 5, 3)):
        a = rng.uniform(-1, 1, shape).astype(np.float32)
        want = loop(
            OPS["recurrence"],
            {"a": np.broadcast_to(a, b.shape), "b": b},
            np.zeros((2, 3), np.float32),
        )
        for method in METHODS:
            got = ops.linear_recurrence(*backend.asarray((a, b)), method=method, chunk_size=2)
            close(got, want, 1e-6)


# --- golden vectors --------------------------------------------------------------------------------


def elu1(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))


def golden_op(name: str, arrays: dict[str, np.ndarray]) -> tuple[Any, Callable[..., Any]]:
    """The arrays of a matrix memory, and its call."""
    q, k, v = (arrays[f"in/{n}"] for n in "qkv")
    if name == "linear_attn_elu1_norm":
        return (elu1(q), elu1(k), v), functools.partial(ops.linear_attention, normalise=True)
    scale = q.shape[-1] ** -0.5
    more = tuple(arrays[f"in/{n}"] for n in ("beta", "g") if f"in/{n}" in arrays)
    function = ops.delta_rule if "in/beta" in arrays else ops.linear_attention
    return (q, k, v, *more), functools.partial(function, scale=scale)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "name",
    [
        "linear_attn_unnorm",
        "linear_attn_elu1_norm",
        "simple_gla",
        "gla",
        "delta_rule",
        "gated_delta_rule",
        "kda",
    ],
)
def test_golden_memories(name: str, method: str, backend: Backend, x64: None) -> None:
    entry, a = load(name)
    arrays, function = golden_op(name, a)
    start: Any = (a["init/S0"], a["init/z0"]) if "init/z0" in a else a["init/S0"]
    for out, state in (("out", optree.tree_map(np.zeros_like, start)), ("out_init", start)):
        want = (a[f"{out}/S"], a[f"{out}/z"]) if "init/z0" in a else a[f"{out}/S"]
        got = function(
            *backend.asarray(arrays), state=backend.asarray(state), method=method, chunk_size=16
        )
        close(got, (want, a[f"{out}/o"]), entry["tolerance"]["float64_impl"])


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["linear_attn_elu1_norm", "gla", "gated_delta_rule", "kda"])
def test_golden_memories_on_jax(name: str, backend: Backend, x64: None) -> None:
    test_golden_memories(name, "fused", backend, None)


@pytest.mark.backend("jax")
def test_golden_attention_on_jax(backend: Backend, x64: None) -> None:
    name = "attn_softmax_rope_interleaved_swa8"
    test_golden_attention(name, 8, "rope", "fused", backend, None)


@pytest.mark.backend("jax")
def test_golden_lru_on_jax(backend: Backend, x64: None) -> None:
    test_golden_lru("associative", backend, None)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", ["linear_attn_unnorm", "gla", "gated_delta_rule"])
def test_golden_memories_in_float32(name: str, backend: Backend) -> None:
    entry, a = load(name)
    arrays, function = golden_op(name, a)
    arrays, state = optree.tree_map(half_or_flag, (arrays, a["init/S0"]))
    tolerance = entry["tolerance"]["float32_impl"]
    for method in METHODS:
        after, out = function(*arrays, state=state, method=method)
        assert after.dtype == out.dtype == np.float32
        np.testing.assert_allclose(after, a["out_init/S"], rtol=0, atol=tolerance)
        np.testing.assert_allclose(out, a["out_init/o"], rtol=0, atol=tolerance)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "window", "position"),
    [
        ("attn_softmax_causal", 37, None),
        ("attn_softmax_alibi", 37, "alibi"),
        ("attn_softmax_rope_halfsplit", 37, "rope"),
        ("attn_softmax_rope_interleaved", 37, "rope"),
        ("attn_softmax_swa8", 8, None),
        ("attn_softmax_alibi_swa8", 8, "alibi"),
        ("attn_softmax_rope_interleaved_swa8", 8, "rope"),
    ],
)
def test_golden_attention(
    name: str, window: int, position: str | None, method: str, backend: Backend, x64: None
) -> None:
    entry, a = load(name)
    q, k, v = (a[f"in/{n}"] for n in "qkv")
    if "interleaved" in name:  # pairs (2j, 2j+1) become the pairs (j, j + K/2)
        order = [*range(0, q.shape[-1], 2), *range(1, q.shape[-1], 2)]
        q, k = q[..., order], k[..., order]
    how = {"position": position, "method": method, "chunk_size": 16}
    _, out = ops.window_attention(*backend.asarray((q, k, v)), window, **how)
    close(out, a["out/o"], entry["tolerance"]["float64_impl"])


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_golden_lru(method: str, backend: Backend, x64: None) -> None:
    entry, a = load("lru")
    decay = np.exp(-np.exp(a["param/nu_log"]) + 1j * np.exp(a["param/theta_log"]))
    b = np.exp(a["param/gamma_log"]) * (a["in/u"] @ (a["param/B_re"] + 1j * a["param/B_im"]).T)
    pairs = backend.asarray(((decay.real, decay.imag), (b.real, b.imag)))
    start = (a["init/x0_re"], a["init/x0_im"])
    for out, state in (("out", optree.tree_map(np.zeros_like, start)), ("out_init", start)):
        after, h = ops.linear_recurrence(*pairs, backend.asarray(state), method=method)
        want = a[f"{out}/x"]
        close(after, (want.real, want.imag), entry["tolerance"]["float64_impl"])
        states = np.asarray(h[0]) + 1j * np.asarray(h[1])
        ys = (states @ (a["param/C_re"] + 1j * a["param/C_im"]).T).real
        ys = ys + a["param/Dskip"] * a["in/u"]
        close(ys, a[f"{out}/y"], entry["tolerance"]["float64_impl"])


# --- laws 1 to 3 -----------------------------------------------------------------------------------


def rule_inputs(name: str, seed: int) -> tuple[Any, Any, Any]:
    """``(rule, params, inputs)``, the inputs with three steps in time."""
    op, rng = OPS[name], np.random.default_rng(seed)
    x = op.draw(rng, 3)
    if "kernel" in x:
        params = {"kernel": x["kernel"], "initial": op.state(rng)}
        return CausalConvolution(length=len(x["kernel"]) - 1), params, {"x": x["x"]}
    if "b" in x:
        return LinearRecurrence(), None, {"decay": x["a"], "input": x["b"]}
    if "b_re" in x:
        pairs = {"decay": (x["a_re"], x["a_im"]), "input": (x["b_re"], x["b_im"])}
        return LinearRecurrence(), None, pairs
    names = {"q": "query", "k": "key", "v": "value", "beta": "beta", "g": "log_decay"}
    inputs = {names[n]: array for n, array in x.items()}
    if name.startswith("window"):
        length = 1 if name.endswith("one") else WINDOW
        position = {"window_rope": "rope", "window_alibi": "alibi"}.get(name)
        return WindowAttention(length=length, position=position), None, inputs
    if "delta" in name:
        return DeltaRule(scale=0.5), None, inputs
    return LinearAttentionRule(normalise="normalised" in name, scale=0.5), None, inputs


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", [name for name in OPS if not name.endswith("_constant")])
@pytest.mark.parametrize("seed", range(3))
def test_laws_of_the_algebra(name: str, seed: int, backend: Backend) -> None:
    rule, params, inputs = rule_inputs(name, seed)
    h = backend.asarray(OPS[name].state(np.random.default_rng(seed + 100)))
    params, inputs = backend.asarray((params, inputs))
    steps = [optree.tree_map(lambda x, t=t: x[:, t, ...], inputs) for t in range(3)]
    a, b, c = (rule.lift(params, u) for u in steps)

    def op(x: Any, y: Any) -> Any:
        return rule.binary_op(params, x, y)

    def act(state: Any, element: Any) -> Any:
        return rule.act(params, state, element)

    close(op(op(a, b), c), op(a, op(b, c)), 1e-12)
    close(act(act(h, a), b), act(h, op(a, b)), 1e-12)
    for u, element in zip(steps, (a, b, c), strict=True):
        close(rule.step(params, h, u), act(h, element), 1e-12)


# --- decays ----------------------------------------------------------------------------------------


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", DECAYED)
def test_a_huge_decay_before_a_start_changes_nothing_after_it(
    name: str, method: str, backend: Backend
) -> None:
    op, arrays, state, initial, _, _ = drawn(name, 17)
    arrays, state, initial = optree.tree_map(half_or_flag, (arrays, state, initial))
    starts = np.zeros((BATCH, 17), dtype=bool)
    starts[:, 7] = True
    how = {**backend.asarray({"starts": starts, "initial": initial}), "method": method}

    def after_start(decay: float | None) -> Any:
        g = np.array(arrays["g"])
        if decay is not None:
            g[:, 2:5] = g[:, 6] = decay
        xs = backend.asarray({**arrays, "g": g})
        after, out = op.run(xs, backend.asarray(state), **how, chunk_size=16)
        assert np.all(np.isfinite(np.asarray(out)))
        return after, at(out, slice(None), slice(7, None))

    want = after_start(None)
    for decay in (-1e4, -np.inf):
        close(after_start(decay), want, 1e-6)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", DECAYED)
def test_a_decay_of_minus_infinity_forgets_all(name: str, method: str, backend: Backend) -> None:
    op, arrays, state, *_ = drawn(name, 17)
    arrays, state = optree.tree_map(half_or_flag, (arrays, state))
    arrays["g"][:, 9] = -np.inf
    rest = {n: x[:, 9:] for n, x in arrays.items()}
    zero = optree.tree_map(np.zeros_like, state)
    how = {"method": method, "chunk_size": 5}
    after, out = op.run(*backend.asarray((arrays, state)), **how)
    want = op.run(*backend.asarray((rest, zero)), method="sequential")
    close((after, at(out, slice(None), slice(9, None))), want, 1e-5)


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    ("name", "method"),
    [*((name, "fused") for name in DECAYED), *(("gated_delta", m) for m in METHODS[:3])],
)
def test_gradients_do_not_see_a_decay_before_a_start(
    name: str, method: str, backend: Backend
) -> None:
    import jax
    import jax.numpy as jnp

    op, arrays, state, initial, _, _ = drawn(name, 17)
    arrays, state, initial = optree.tree_map(half_or_flag, (arrays, state, initial))
    starts = np.broadcast_to(np.arange(17) == 7, (BATCH, 17))

    def loss(xs: Any, state: Any, initial: Any) -> Any:
        how = {"starts": jnp.asarray(starts), "initial": initial, "method": method}
        after, out = op.run(xs, state, **how, chunk_size=16)
        parts = (out[:, 7:], *optree.tree_leaves(after))
        return sum(jnp.sum(jnp.sin(part)) for part in parts), parts

    gradient = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))
    want = gradient(*backend.asarray((arrays, state, initial)))
    for decay in (-1e4, -np.inf):
        g = np.array(arrays["g"])
        g[:, 2:5] = g[:, 6] = decay
        close(gradient(*backend.asarray(({**arrays, "g": g}, state, initial))), want, 1e-6)
    assert not np.any(np.asarray(want[0][0]["g"])[:, :7])


# --- what the papers promise -----------------------------------------------------------------------


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_the_delta_rule_reads_the_last_value_written(method: str, backend: Backend) -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((4, 4)))[0].astype(np.float32)
    written = rng.integers(0, 4, 17)
    k = np.broadcast_to(basis[written][:, None], (17, 1, 4))
    v = rng.standard_normal((17, 1, 3)).astype(np.float32)
    beta = np.ones((17, 1), np.float32)
    state, out = ops.delta_rule(*backend.asarray((k, k, v, beta)), method=method, chunk_size=8)
    close(out, v, 1e-5)  # what was just written
    for key in range(4):
        last = int(np.flatnonzero(written == key)[-1])
        close(basis[key] @ np.asarray(state)[0], v[last, 0], 1e-5)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_linear_attention_is_a_running_sum(method: str, backend: Backend) -> None:
    v = np.random.default_rng(0).standard_normal((17, 1, 3)).astype(np.float32)
    one = np.ones((17, 1, 1), np.float32)
    state, out = ops.linear_attention(*backend.asarray((one, one, v)), method=method, chunk_size=5)
    close(out, np.cumsum(v, axis=0), 1e-6)
    close(np.asarray(state)[0, 0], np.sum(v[:, 0], axis=0), 1e-6)
    _, mean = ops.linear_attention(*backend.asarray((one, one, v)), normalise=True, method=method)
    close(mean, np.cumsum(v, axis=0) / np.arange(1, 18, dtype=np.float32)[:, None, None], 1e-6)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["window", "window_rope", "window_alibi"])
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

    q, k, v = backend.asarray(optree.tree_map(half_or_flag, drawn("window", 17)[1])).values()
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

    arrays = drawn("window", 17)[1]
    q, k, v = (torch.tensor(np.moveaxis(arrays[n], 1, 2)) for n in "qkv")
    full = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).numpy()
    for window in (17, 40):
        _, out = ops.window_attention(*(arrays[n] for n in "qkv"), window)
        close(out, np.moveaxis(full, 1, 2), 1e-12)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_beta_of_two_reflects(method: str, backend: Backend) -> None:
    rng = np.random.default_rng(0)
    k = rng.standard_normal((17, 1, 4))
    k = (k / np.linalg.norm(k, axis=-1, keepdims=True)).astype(np.float32)
    start = rng.standard_normal((1, 4, 3)).astype(np.float32)
    v, beta = np.zeros((17, 1, 3), np.float32), np.full((17, 1), 2, np.float32)
    state, _ = ops.delta_rule(
        *backend.asarray((k, k, v, beta)), state=backend.asarray(start), method=method
    )
    close(np.linalg.norm(np.asarray(state)), np.linalg.norm(start), 1e-5)
    assert np.abs(np.asarray(state) - start).max() > 0.1


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_parity_of_bits(method: str, backend: Backend) -> None:
    """An eigenvalue of -1 flips a sign at every 1: XOR of 100 bits, exactly."""
    bits = np.random.default_rng(0).integers(0, 2, (3, 100))
    one = np.ones((3, 100, 1, 1), np.float32)
    beta = (2 * bits[..., None]).astype(np.float32)
    state = backend.asarray(np.ones((1, 1, 1), np.float32))
    arrays = backend.asarray((one, one, 0 * one, beta))
    _, out = ops.delta_rule(*arrays, state=state, method=method, chunk_size=16)
    parity = np.cumsum(bits, axis=1) % 2
    np.testing.assert_array_equal(np.asarray(out)[..., 0, 0], 1 - 2.0 * parity)


# --- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.5, 0.99, 1.0, 1.9, 1.99, 2.0])
def test_repeated_keys_stay_accurate(beta: float, backend: Backend) -> None:
    """A chunk of 64 equal keys: powers of L grow like binomials, the inverse must not."""
    rng, length = np.random.default_rng(0), 64
    k = rng.standard_normal(8)
    k = np.broadcast_to((k / np.linalg.norm(k)).astype(np.float32), (length, 1, 8))
    v = rng.standard_normal((length, 1, 3)).astype(np.float32)
    strength = np.full((length, 1), beta, np.float32)
    exact = (x.astype(np.float64) for x in (k, k, v, strength))
    want = ops.delta_rule(*exact, method="sequential")
    for chunk_size, tolerance in ((16, 1e-5), (64, 1e-4)):
        how = {"method": "fused", "chunk_size": chunk_size}
        close(ops.delta_rule(*backend.asarray((k, k, v, strength)), **how), want, tolerance)


@pytest.mark.backend("numpy", "array_api_strict")
def test_unit_lower_inverse(backend: Backend) -> None:
    for size in (2, 3, 5, 8, 13):
        strict = np.tril(np.random.default_rng(size).standard_normal((2, size, size)), -1)
        strict = strict.astype(np.float32)
        got = unit_lower_inverse(backend.asarray(strict))
        want = np.linalg.inv(np.eye(size) + strict)
        close(got, want, 1e-5)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", OPS)
def test_float16(name: str, method: str, backend: Backend) -> None:
    half_precision(name, method, backend, np.float16, 2e-3)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", OPS)
def test_bfloat16(name: str, backend: Backend) -> None:
    import jax.numpy as jnp

    half_precision(name, "fused", backend, jnp.bfloat16, 1e-2)


def half_precision(name: str, method: str, backend: Backend, half: Any, tolerance: float) -> None:
    """A float32 state, and numbers that are rounded only on the way in and out."""
    op, arrays, state, initial, starts, _ = drawn(name, 17)
    low = optree.tree_map(lambda x: x.astype(half), arrays)
    arrays = optree.tree_map(lambda x: x.astype(np.float32), low)
    state, initial = optree.tree_map(half_or_flag, (state, initial))
    how = {**backend.asarray({"starts": starts, "initial": initial}), "method": method}
    want = op.run(*backend.asarray((arrays, state)), **how, chunk_size=5)
    low = optree.tree_map(backend.xp.asarray, low)
    after, out = op.run(low, backend.asarray(state), **how, chunk_size=5)
    assert {x.dtype for x in optree.tree_leaves(out)} == {np.dtype(half)}
    assert {str(x.dtype) for x in optree.tree_leaves(after)} <= {"float32", "bool"}
    close(after, want[0], 1e-5)
    for a, b in zip(optree.tree_leaves(out), optree.tree_leaves(want[1]), strict=True):
        close(np.asarray(a).astype(np.float32), b, tolerance)


# --- gradients -------------------------------------------------------------------------------------


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", OPS)
def test_gradients_of_the_fused_form(name: str, backend: Backend, x64: None) -> None:
    """In every array, in the state and in the initial state, those of the fold."""
    import jax
    import jax.numpy as jnp

    op, arrays, state, initial, starts, valid = drawn(name, 17)
    how = backend.asarray({"starts": starts, "valid": valid})
    floats = [x for x in optree.tree_leaves((state, initial)) if x.dtype.kind == "f"]
    structure = optree.tree_structure((state, initial))
    rest = [x if x.dtype.kind != "f" else None for x in optree.tree_leaves((state, initial))]

    def loss(arrays: Any, floats: Any, method: str) -> Any:
        moving = iter(floats)
        leaves = [next(moving) if x is None else jnp.asarray(x) for x in rest]
        state, initial = optree.tree_unflatten(structure, leaves)
        result = op.run(arrays, state, initial=initial, **how, method=method, chunk_size=5)
        leaves = [x for x in optree.tree_leaves(result) if x.dtype != bool]
        return sum(jnp.sum(jnp.sin(x + i)) for i, x in enumerate(leaves))

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    given = backend.asarray((arrays, floats))
    close(gradient(*given, "fused"), gradient(*given, "sequential"), 1e-10)


@pytest.mark.backend("jax")
def test_gradients_by_finite_differences(backend: Backend, x64: None) -> None:
    from jax.test_util import check_grads

    op, arrays, state, *_ = drawn("gated_delta", 5)
    check_grads(
        lambda xs, s: op.run(xs, s, method="fused", chunk_size=4),
        backend.asarray((arrays, state)),
        order=1,
        modes=["rev"],
    )


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["recurrence", "complex_constant"])
def test_forward_mode(name: str, backend: Backend, x64: None) -> None:
    from jax.test_util import check_grads

    op, arrays, state, *_ = drawn(name, 5)
    check_grads(
        lambda xs, s: op.run(xs, s, method="sequential"),
        backend.asarray((arrays, state)),
        order=1,
        modes=["fwd"],
    )


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["recurrence_constant", "attention_decay", "convolution"])
def test_vmap_is_a_batch(name: str, backend: Backend) -> None:
    import jax

    op, arrays, state, *_ = drawn(name, 5)
    arrays, state = backend.asarray(optree.tree_map(half_or_flag, (arrays, state)))
    axes = {n: None if n in op.constant else 0 for n in arrays}
    got = jax.vmap(op.run, in_axes=(axes, 0))(arrays, state)
    close(got, op.run(arrays, state), 1e-6)


# --- errors ----------------------------------------------------------------------------------------

Q = np.zeros((2, 5, HEADS, KEYS))
V = np.zeros((2, 5, HEADS, VALUES))
B = np.zeros((2, 5, HEADS))
X = np.zeros((2, 5, WIDTH))
ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "q": (lambda: ops.linear_attention(Q[..., :2], Q, V), r"^q has shape \(2, 5, 2, 2\), expected"),
    "k": (lambda: ops.linear_attention(Q[0, 0], Q[0, 0], V[0, 0]), r"^k has shape"),
    "v": (lambda: ops.delta_rule(Q, Q, V[:, :4], B), r"^v has shape \(2, 4, 2, 3\), expected"),
    "beta": (lambda: ops.delta_rule(Q, Q, V, B[:, :1]), r"^beta has shape \(2, 1, 2\), expected"),
    "log_decay": (lambda: ops.linear_attention(Q, Q, V, B[0]), r"^log_decay has shape \(5, 2\)"),
    "starts": (
        lambda: ops.linear_attention(Q, Q, V, starts=np.zeros((3, 5), bool)),
        r"^starts has shape \(3, 5\), expected \(2, 5\)",
    ),
    "starts_dtype": (
        lambda: ops.linear_attention(Q, Q, V, starts=np.zeros((2, 5))),
        r"^starts has dtype float64, expected bool",
    ),
    "valid": (
        lambda: ops.causal_convolution(X, X[0, :3], valid=np.zeros((2, 4), bool)),
        r"^valid has shape \(2, 4\), expected \(2, 5\)",
    ),
    "state": (
        lambda: ops.linear_attention(Q, Q, V, state=np.zeros((2, 2, 4, 4))),
        r"^state has shape \(2, 2, 4, 4\), expected \(2, 2, 4, 3\)",
    ),
    "initial": (
        lambda: ops.linear_attention(Q, Q, V, initial=np.zeros((2, 2, 4, 4))),
        r"^initial has shape \(2, 2, 4, 4\), expected \(2, 2, 4, 3\)",
    ),
    "method": (lambda: ops.delta_rule(Q, Q, V, B, method="foo"), r"^method is 'foo', expected"),
    "chunk_size": (lambda: ops.delta_rule(Q, Q, V, B, chunk_size=0), r"^chunk_size is 0, expected"),
    "window": (lambda: ops.window_attention(Q, Q, V, 0), r"window is 0, expected"),
    "window_float": (lambda: ops.window_attention(Q, Q, V, 2.5), r"window is 2.5, expected"),
    "window_keys": (lambda: ops.window_attention(Q[0, 0], Q[0, 0], V[0, 0], 3), r"^k has shape"),
    "position": (lambda: ops.window_attention(Q, Q, V, 3, position="x"), r"^position is 'x'"),
    "rope": (
        lambda: ops.window_attention(Q[..., :3], Q[..., :3], V, 3, position="rope"),
        r"even key size, got 3",
    ),
    "kernel": (lambda: ops.causal_convolution(X, Q[0, 0]), r"^kernel has shape \(2, 4\), expected"),
    "kernel_short": (lambda: ops.causal_convolution(X, X[0, :1]), r"^kernel has shape \(1, 3\)"),
    "x": (lambda: ops.causal_convolution(X[0, 0], X[0]), r"^x has shape \(3,\), expected"),
    "a": (lambda: ops.linear_recurrence(np.ones(4), X), r"^a has shape \(4,\), expected"),
    "a_time": (lambda: ops.linear_recurrence(X[:, :2], X), r"^a has shape \(2, 2, 3\), expected"),
    "b": (lambda: ops.linear_recurrence(X[0, 0], X[0, 0]), r"^b has shape \(3,\), expected"),
    "b_dtype": (lambda: ops.linear_recurrence(np.ones(3), np.ones((5, 3), int)), r"^b has dtype"),
    "pairs": (lambda: ops.linear_recurrence((X, X), X), r"a .*pair|pair.* a"),
}


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, backend: Backend) -> None:
    call, message = ERRORS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.backend("numpy")
def test_lists_are_flags(backend: Backend) -> None:
    starts = [False, True, False, False, True]
    rng = np.random.default_rng(0)
    b = rng.standard_normal((2, 5, WIDTH))
    got = ops.linear_recurrence(np.full(WIDTH, 0.5), b, starts=starts)
    want = ops.linear_recurrence(np.full(WIDTH, 0.5), b, starts=np.array([starts] * 2))
    close(got, want, 0)
