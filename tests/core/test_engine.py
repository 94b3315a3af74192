"""scan, step and apply: their arguments, the methods, errors, and what is not finite."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import optree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memcore
from cases.models import MODELS
from conftest import Backend
from memcore import nn
from memcore.backend import namespace
from memcore.engine import auto
from memcore.engine.checks import runnable

GRU = memcore.GRU(3, hidden_size=4)
LRU = memcore.LRU(3, state_size=4)
NET = memcore.GatedDeltaNet(4, heads=2)
CAUSAL = [name for name, model in MODELS.items() if model.causal]
VECTORS = [name for name in CAUSAL if MODELS[name].input_ndim == 1]


def close(got: Any, want: Any, tolerance: float = 1e-5) -> None:
    assert optree.tree_structure(got) == optree.tree_structure(want)
    for a, b in zip(optree.tree_leaves(got), optree.tree_leaves(want), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape and a.dtype == b.dtype
        scale = max(1.0, float(np.max(np.abs(b[np.isfinite(b)]), initial=0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


@functools.cache
def data(name: str, length: int = 7, dtype: str = "float32") -> tuple[Any, Any, Any, Any]:
    """``(model, params, xs (2, T, ...), starts)``."""
    model, rng = MODELS[name], np.random.default_rng(0)
    if model.input_ndim == 0:
        xs: Any = rng.integers(0, model.in_features, (2, length))
    else:
        xs = rng.standard_normal((2, length, model.in_features)).astype(dtype)
    return model, model.init(0, dtype), xs, rng.random((2, length)) < 0.3


def at(tree: Any, *index: Any) -> Any:
    return optree.tree_map(lambda x: np.asarray(x)[index], tree)


# --- shapes and dtypes -----------------------------------------------------------------------------


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", MODELS)
def test_batch_axes(name: str, backend: Backend) -> None:
    """None, several, and flags and states that broadcast to them."""
    model, params, xs, starts = data(name)
    params = backend.asarray(params)
    want = model.apply(params, *backend.asarray((xs,)), starts=backend.asarray(starts))
    for i in range(2):
        one = model.apply(params, backend.asarray(xs[i]), starts=backend.asarray(starts[i]))
        close(one, at(want, i))
    many, state = np.stack([xs, xs, xs]), want[0]
    got = model.apply(params, backend.asarray(many), state, starts=backend.asarray(starts))
    again = model.apply(params, backend.asarray(xs), state, starts=backend.asarray(starts))
    close(got, optree.tree_map(lambda x: np.stack([np.asarray(x)] * 3), again))
    row = model.apply(params, backend.asarray(xs), starts=backend.asarray(starts[:1]))
    close(at(row, 0), at(want, 0))


@pytest.mark.parametrize("name", ["gru", "lru", "residual_stack_tokens"])
def test_length_zero(name: str, backend: Backend) -> None:
    model, params, xs, starts = data(name)
    params = backend.asarray(params)
    state, _ = model.apply(params, backend.asarray(xs))
    for method in (*runnable(model, params), "auto"):
        how = {"starts": backend.asarray(starts[:, :0]), "method": method}
        after, ys = model.apply(params, backend.asarray(xs[:, :0]), state, **how)
        close(after, state, 0)
        assert ys.shape == (2, 0, model.out_features) and ys.dtype == backend.xp.float32


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", CAUSAL)
def test_length_one_is_a_step(name: str, backend: Backend) -> None:
    model, params, xs, _ = data(name)
    params, xs = backend.asarray((params, xs))
    state, _ = model.apply(params, xs)
    for start in (None, True, np.array([True, False])):
        starts = None if start is None else np.broadcast_to(start, (2,))[:, None]
        flag = start if start is None else backend.asarray(np.asarray(start))
        got = memcore.step(model, params, state, xs[:, 0, ...], start=flag)
        for method in (*runnable(model, params), "auto"):
            how = {"method": method, "starts": None if start is None else backend.asarray(starts)}
            want = model.apply(params, xs[:, :1, ...], state, **how)
            close(got, (want[0], np.asarray(want[1])[:, 0]))


@pytest.mark.parametrize("name", ["lru", "residual_stack"])
def test_steps_are_a_scan(name: str, backend: Backend) -> None:
    model, params, xs, starts = data(name, 5)
    want = model.apply(*backend.asarray((params, xs)), starts=backend.asarray(starts))
    state = model.initial_state(params)
    params, xs, starts = backend.asarray((params, xs, starts))
    for t in range(5):
        state, y = memcore.step(model, params, state, xs[:, t, :], start=starts[:, t])
        close(y, np.asarray(want[1])[:, t])
    close(state, want[0])


@pytest.mark.parametrize("name", ["gru", "lru", "gated_delta_net"])
def test_float64_stays(name: str, backend: Backend, x64: None) -> None:
    model, params, xs, starts = data(name, 5, "float64")
    how = {"starts": backend.asarray(starts)}
    low = optree.tree_map(lambda x: x.astype(np.float32), params)
    for given_params in (params, low):  # the inputs' dtype rules
        state, ys = model.apply(*backend.asarray((given_params, xs)), **how)
        floats = [x for x in optree.tree_leaves(state) if "bool" not in str(x.dtype)]
        assert all(x.dtype == backend.xp.float64 for x in (*floats, ys))
    state, ys = model.apply(*backend.asarray((params, xs.astype(np.float32))), **how)
    assert ys.dtype == backend.xp.float32


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", VECTORS)
def test_float16(name: str, backend: Backend) -> None:
    model, params, xs, starts = data(name)
    low = xs.astype(np.float16)
    want, exact = model.apply(params, low.astype(np.float32), starts=starts)
    for method in runnable(model, params):
        state, ys = model.apply(params, low, starts=starts, method=method)
        assert ys.dtype == np.float16
        for a, b in zip(optree.tree_leaves(state), optree.tree_leaves(want), strict=True):
            assert a.dtype == b.dtype
        scale = max(1.0, float(np.abs(exact).max()))
        np.testing.assert_allclose(ys.astype(np.float32), exact, rtol=0, atol=0.03 * scale)


@pytest.mark.backend("numpy")
@settings(max_examples=30)
@given(length=st.integers(1, 12), chunk_size=st.integers(1, 30), seed=st.integers(0, 999))
@pytest.mark.parametrize("name", ["lru", "attention", "residual_stack"])
def test_any_chunk_size(
    name: str, backend: Backend, length: int, chunk_size: int, seed: int
) -> None:
    model, params, _, _ = data(name, dtype="float64")
    rng = np.random.default_rng(seed)
    xs = rng.standard_normal((2, length, model.in_features))
    flags = {"starts": rng.random((2, length)) < 0.3, "valid": rng.random((2, length)) < 0.7}
    want = model.apply(params, xs, **flags, method="sequential")
    for method in runnable(model, params)[1:]:
        got = model.apply(params, xs, **flags, method=method, chunk_size=chunk_size)
        close(got, want, 1e-10)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", MODELS)
def test_inputs_are_left_alone(name: str, backend: Backend) -> None:
    """Read-only arrays pass, and nothing returned is a view of them that a caller may spoil."""
    model, params, xs, starts = data(name)
    frozen = backend.asarray((params, xs))
    state, ys = model.apply(*frozen, starts=backend.asarray(starts))
    after, _ = model.apply(*frozen, backend.asarray(state))
    for leaf in (*optree.tree_leaves(after), ys):
        assert not np.shares_memory(leaf, frozen[1])


@pytest.mark.backend("numpy")
def test_lists_and_numbers(backend: Backend) -> None:
    params = GRU.init(0)
    xs = [[0.5, 1.0, -1.0], [0.0, 2.0, 1.0]]
    want = GRU.apply(params, np.array(xs), starts=np.array([False, True]))
    close(GRU.apply(params, xs, starts=[False, True]), want, 0)
    one = memcore.step(GRU, params, np.zeros(4), xs[0], start=True)
    close(one[1], GRU.apply(params, xs[:1])[1][0], 0)


@pytest.mark.backend("jax")
def test_arrays_of_both_libraries(backend: Backend) -> None:
    """One JAX array makes the run JAX's: parameters from a file, inputs from a sensor."""
    import jax

    params, xs = GRU.init(0), np.ones((2, 5, 3), np.float32)
    want = GRU.apply(params, xs)
    for mixed in ((params, backend.asarray(xs)), (backend.asarray(params), xs)):
        state, ys = GRU.apply(*mixed)
        assert isinstance(state, jax.Array) and isinstance(ys, jax.Array)
        close((state, ys), want)


# --- return_states ---------------------------------------------------------------------------------

CELLS = [n for n, model in MODELS.items() if isinstance(model, memcore.Cell) and model.causal]


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", CELLS)
def test_return_states(name: str, backend: Backend) -> None:
    model, params, xs, starts = data(name)
    params, xs, starts = backend.asarray((params, xs, starts))
    for method in ("auto", *(m for m in runnable(model, params) if m != "fused")):
        how = {"starts": starts, "method": method, "chunk_size": 3}
        state, ys, states = memcore.scan(model, params, xs, **how, return_states=True)
        close((state, ys), memcore.scan(model, params, xs, **how))
        close(at(states, slice(None), -1), at(state))
        before = None
        for t in range(7):
            before, _ = model.apply(
                params, xs[:, t : t + 1, :], before, starts=starts[:, t : t + 1]
            )
            close(at(states, slice(None), t), at(before))


@pytest.mark.backend("numpy")
def test_return_states_of_nothing_and_of_padding(backend: Backend) -> None:
    params, xs = LRU.init(0), np.ones((2, 5, 3))
    _, ys, states = memcore.scan(LRU, params, xs[:, :0], return_states=True)
    assert ys.shape == (2, 0, 3) and [s.shape for s in states] == [(2, 0, 4)] * 2
    valid = np.array([True, False, False, True, False])
    for method in ("sequential", "associative", "chunked"):
        how: dict[str, Any] = {"method": method, "chunk_size": 2, "return_states": True}
        _, _, states = memcore.scan(LRU, params, xs, valid=valid, **how)
        for leaf in states:
            np.testing.assert_array_equal(leaf[:, 1], leaf[:, 0])
            np.testing.assert_array_equal(leaf[:, 4], leaf[:, 3])


@pytest.mark.backend("numpy")
def test_states_of_a_composite(backend: Backend) -> None:
    """They are the states of runs that end there, pieces of any length and what is left over."""
    params = NET.init(0, "float64")
    xs = np.random.default_rng(0).standard_normal((2, 7, 4))
    starts = np.broadcast_to(np.arange(7) == 3, (2, 7))
    want, ys = NET.apply(params, xs, starts=starts)
    for every in (True, 2, 3, 7, 9):
        state, got, states = memcore.scan(NET, params, xs, starts=starts, return_states=every)
        close(got, ys, 1e-12)
        close(state, want, 1e-12)
        n = int(every)
        for i in range(7 // n):
            end = (i + 1) * n
            there, _ = NET.apply(params, xs[:, :end], starts=starts[:, :end])
            close(optree.tree_map(lambda s, i=i: s[:, i], states), there, 1e-12)
        assert {leaf.shape[1] for leaf in optree.tree_leaves(states)} == {7 // n}


# --- errors ----------------------------------------------------------------------------------------

P = GRU.init(0)
X = np.zeros((4, 12, 3))
TOKENS = memcore.ResidualStack(5, model=memcore.GRU(4, hidden_size=4), tokens=True, dropout=0.5)
STACK = memcore.ResidualStack(3, model=memcore.GRU(4, hidden_size=4), position="learned")
ATTENTION = memcore.Attention(4, heads=2, window=3)


def with_state(model: memcore.Model, change: Callable[[Any], Any]) -> Callable[[], Any]:
    params = model.init(0)
    xs = np.zeros((2, 5, model.in_features))
    return lambda: model.apply(params, xs, change(model.apply(params, xs)[0]))


ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "xs width": (
        lambda: GRU.apply(P, X[..., :2]),
        r"^xs has shape \(4, 12, 2\), expected \(\.\.\., T, 3\)",
    ),
    "xs rank": (lambda: GRU.apply(P, X[0, 0]), r"^xs has shape \(3,\), expected \(\.\.\., T, 3\)"),
    "xs ints": (lambda: GRU.apply(P, X.astype(int)), r"^xs has dtype int64, expected floating"),
    "xs complex": (lambda: GRU.apply(P, X + 0j), r"^xs has dtype complex128, expected floating"),
    "xs none": (lambda: GRU.apply(P, None), r"^xs "),
    "token dtype": (
        lambda: replace(TOKENS, token_dtype="int8"),
        r"^token_dtype is 'int8', expected None or 'float16', 'bfloat16', 'float32' or 'float64'",
    ),
    "token dtype of floats": (
        lambda: replace(STACK, token_dtype="float32"),
        r"^token_dtype is 'float32', expected None unless tokens is true",
    ),
    "tokens floats": (
        lambda: TOKENS.apply(TOKENS.init(0), X),
        r"^xs has dtype float64, expected integers",
    ),
    "starts": (
        lambda: GRU.apply(P, X, starts=np.zeros((4, 10), bool)),
        r"^starts has shape \(4, 10\), expected \(4, 12\) to match xs \(4, 12, 3\)",
    ),
    "starts rank": (
        lambda: GRU.apply(P, X, starts=np.zeros((1, 4, 12), bool)),
        r"^starts has shape \(1, 4, 12\), expected \(4, 12\)",
    ),
    "starts one": (
        lambda: GRU.apply(P, X, starts=[True]),
        r"^starts has shape \(1,\), expected \(4, 12\)",
    ),
    "starts scalar": (lambda: GRU.apply(P, X, starts=True), r"^starts has shape \(\), expected"),
    "starts ints": (
        lambda: GRU.apply(P, X, starts=np.full((4, 12), 2)),
        r"^starts has the value 2, expected only 0 and 1",
    ),
    "valid": (
        lambda: GRU.apply(P, X, valid=np.zeros((3, 12), bool)),
        r"^valid has shape \(3, 12\), expected \(4, 12\) to match xs \(4, 12, 3\)",
    ),
    "valid floats": (lambda: GRU.apply(P, X, valid=X[..., 0] + 0.5), r"^valid has the value"),
    "state": (
        lambda: GRU.apply(P, X, np.zeros((4, 5))),
        r"^state has shape \(4, 5\), expected \(4, 4\) to match xs \(4, 12, 3\)",
    ),
    "state batch": (lambda: GRU.apply(P, X, np.zeros((2, 4, 4))), r"^state has shape \(2, 4, 4\)"),
    "state features": (lambda: GRU.apply(P, X, np.zeros((4, 1))), r"^state has shape \(4, 1\)"),
    "state leaf": (
        with_state(NET, lambda s: {**s, "memory": s["memory"][..., :1, :, :]}),
        r"^state/memory has shape \(2, 1, 2, 2\), expected \(2, 2, 2, 2\)",
    ),
    "state leaves": (
        with_state(NET, lambda s: {n: s[n] for n in s if n != "memory"}),
        r"^state has the structure .*, expected .*memory",
    ),
    "state kind": (
        with_state(STACK, lambda s: {**s, "position": np.zeros(2)}),
        r"^state/position has dtype float64, expected an integer dtype",
    ),
    "state flags": (
        with_state(ATTENTION, lambda s: (s[0], s[1], s[2].astype(float))),
        r"^state/2 has dtype float64, expected bool",
    ),
    "method": (lambda: GRU.apply(P, X, method="chunked"), r"^method is 'chunked', expected one"),
    "method unknown": (lambda: GRU.apply(P, X, method="fast"), r"^method is 'fast', expected one"),
    "method in stack": (
        lambda: STACK.apply(STACK.init(0), X, method="associative"),
        r"^method is 'associative', expected one of \('auto', 'sequential', ",
    ),
    "chunk_size": (lambda: GRU.apply(P, X, chunk_size=0), r"^chunk_size is 0, expected a positive"),
    "chunk_size float": (lambda: GRU.apply(P, X, chunk_size=2.0), r"^chunk_size is 2\.0, expected"),
    "params lack": (
        lambda: GRU.apply({"input": P["input"]}, X),
        r"^params lacks the leaf 'hidden/bias' of GRU",
    ),
    "params shape": (
        lambda: GRU.apply({**P, "hidden": {**P["hidden"], "kernel": np.zeros((3, 12))}}, X),
        r"^params has the leaf 'hidden/kernel' of shape \(3, 12\), expected \(4, 12\) for GRU",
    ),
    "params of another": (
        lambda: memcore.step(GRU, {**LRU.init(0)}, np.zeros(4), np.zeros(3)),
        r"^params lacks the leaf 'hidden/bias' of GRU",
    ),
    "return_states": (
        lambda: memcore.scan(LRU, LRU.init(0), X, return_states=-1),
        r"^return_states is -1, expected True, False or a positive int",
    ),
    "return_states of fused": (
        lambda: memcore.scan(
            NET, NET.init(0), np.zeros((5, 4)), method="fused", return_states=True
        ),
        r"^method is 'fused', which keeps no state per step",
    ),
    "key": (
        lambda: TOKENS.apply(TOKENS.init(0), np.zeros((2, 5), int), key="a"),
        r"^key is a str, expected a jax\.random\.key, a numpy\.random\.Generator or an int seed",
    ),
    "explain": (lambda: memcore.explain(GRU, 10, "cuda"), r"^backend is 'cuda', expected one of"),
    "explain -1": (
        lambda: memcore.explain(GRU, -1),
        r"^length is -1, expected an int, none below 0",
    ),
    "explain 2.5": (lambda: memcore.explain(GRU, 2.5), r"^length is 2.5, expected an int"),
    "step x": (
        lambda: memcore.step(GRU, P, np.zeros(4), np.zeros(2)),
        r"^x has shape \(2,\), expected \(\.\.\., 3\)",
    ),
    "step state": (
        lambda: memcore.step(GRU, P, np.zeros((5, 4)), X[:, 0]),
        r"^state has shape \(5, 4\), expected \(4, 4\)",
    ),
    "step start": (
        lambda: memcore.step(GRU, P, np.zeros(4), X[:, 0], start=np.zeros(3, bool)),
        r"^start has shape \(3,\), expected \(4,\) to match x \(4, 3\)",
    ),
}


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, backend: Backend) -> None:
    call, message = ERRORS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.backend("jax")
def test_errors_at_trace_time(backend: Backend) -> None:
    import jax

    xs = backend.asarray(np.zeros((2, 5, 3), np.float32))
    run = jax.jit(lambda xs, starts: GRU.apply(P, xs, starts=starts))
    with pytest.raises(ValueError, match=r"^starts has shape \(2, 4\), expected \(2, 5\)"):
        run(xs, backend.asarray(np.zeros((2, 4), bool)))
    with pytest.raises(TypeError, match=r"^xs has dtype int32, expected floating"):
        GRU.apply(P, xs.astype(int))


@pytest.mark.backend("jax")
def test_keys_for_dropout(backend: Backend) -> None:
    """As for init: a key of either kind, a Generator, a seed; None is no dropout."""
    import jax

    params, tokens = TOKENS.init(0), backend.asarray(np.ones((2, 5), np.int32))
    want = TOKENS.apply(params, tokens)[1]
    close(TOKENS.apply(params, np.ones((2, 5), np.int32))[1], want)
    for key in (jax.random.key(1), jax.random.PRNGKey(1), 1, np.random.default_rng(1)):
        one = TOKENS.apply(params, tokens, key=key)[1]
        assert np.abs(np.asarray(one - want)).max() > 1e-3
    same = (TOKENS.apply(params, tokens, key=jax.random.key(2))[1] for _ in range(2))
    close(*same, 0)


@pytest.mark.backend("numpy", "array_api_strict")
def test_dropout(backend: Backend) -> None:
    params, tokens = backend.asarray((TOKENS.init(0), np.ones((2, 5), np.int32)))
    one, two, other = (np.asarray(TOKENS.apply(params, tokens, key=k)[1]) for k in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.backend("jax")
def test_the_gradient_of_an_embedding_adds_up_in_its_own_dtype(backend: Backend) -> None:
    """In bfloat16 a sum of ones ends at 256."""
    import jax

    index = jax.numpy.zeros(1000, "int32")

    def total(table: Any) -> Any:
        rows = nn.embed({"embedding": table}, index, jax.numpy.bfloat16)
        return jax.numpy.sum(rows.astype("float32"))

    gradient = jax.grad(total)(jax.numpy.ones((2, 3)))
    np.testing.assert_array_equal(gradient, [[1000] * 3, [0] * 3])


def test_tokens_are_computed_on_in_the_dtype_that_the_model_says(backend: Backend) -> None:
    """In float32 from parameters of float64: outputs, states and numbers are those of float32."""
    params, low = TOKENS.init(0, "float64"), replace(TOKENS, token_dtype="float32")
    tokens = np.array([[0, 3, 2, 4], [1, 1, 0, 3]], np.int32)
    with backend.x64():
        rounded = backend.asarray(optree.tree_map(np.float32, params))
        params, tokens = backend.asarray((params, tokens))
        want, got = TOKENS.apply(rounded, tokens), low.apply(params, tokens)
        nothing = low.apply(params, tokens[:, :0])
        for state, ys in (got, nothing):
            for leaf in optree.tree_leaves((state, ys)):
                assert "float32" in str(leaf.dtype)
        close(backend.to_numpy(got), backend.to_numpy(want))


# --- explain ---------------------------------------------------------------------------------------


def test_explain() -> None:
    assert memcore.explain(GRU, 100) == "gated_cell: fused (measured on a 2-core CPU)"
    stack = memcore.ResidualStack(3, model=(memcore.LRU(4), memcore.GatedDeltaNet(4)), layers=3)
    lines = memcore.explain(stack, 100).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "layer_0/linear_recurrence",
        "layer_1/conv/causal_convolution",
        "layer_1/memory/delta_rule",
        "layer_2/linear_recurrence",
    ]
    choice = auto.TABLE["delta_rule"]["cpu"]
    assert f"fused, chunks of {choice.chunk_size} (measured on a 2-core CPU)" in lines[2]
    assert "fused (measured on an H100)" in memcore.explain(memcore.LRU(4), 100, "gpu")
    assert "associative" in memcore.explain(memcore.NMax(4), 100, "gpu")
    most = auto.TABLE["widened_linear_recurrence"]["cpu"].chunk_size
    assert f"chunks of {most}, fewer of large states (" in memcore.explain(memcore.S6(4), 100)
    for model in MODELS.values():
        for backend in ("numpy", "cpu", "gpu", "tpu"):
            text = memcore.explain(model, 100, backend, return_states=True)
            for line in text.replace("the fused form keeps no states", "").splitlines():
                assert "fused" not in line or "linear_recurrence" in line
            steps = all("sequential" in cell.methods for _, cell in model.recurrences())
            lines = memcore.explain(model, 1).splitlines()
            assert all("one step is one call" in line for line in lines) == steps


@pytest.mark.backend("numpy")
def test_the_chunks_of_the_table_are_those_of_fused_as_well(backend: Backend) -> None:
    given = []

    @dataclass(frozen=True)
    class Recording(memcore.LinearAttention):
        def fused(self, *args: Any, chunk_size: int | None = None, **how: Any) -> Any:
            given.append(chunk_size)
            return super().fused(*args, chunk_size=chunk_size, **how)

    @dataclass(frozen=True)
    class Nameless(Recording):
        rule_name: ClassVar[str] = ""

    xs = np.ones((5, 4), "float32")
    for cell in (Recording(4), Nameless(4)):
        for how in ({}, {"method": "fused"}, {"method": "fused", "chunk_size": 3}):
            cell.apply(cell.init(0), xs, **how)
    size = auto.TABLE["linear_attention"]["numpy"].chunk_size
    assert given == [size, size, 3, None, None, 3]


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    ("batch", "most", "size"),
    [
        (2, 2**19, auto.TABLE["widened_linear_recurrence"]["cpu"].chunk_size),
        (2, 48 * 5 + 47, 5),
        (2, 1, 4),
        (0, 1, 4),
    ],
)
def test_chunks_are_short_where_states_are_large(
    batch: int, most: int, size: int, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 numbers for each sequence."""
    given = []

    @dataclass(frozen=True)
    class Recording(memcore.S6):
        def fused(self, *args: Any, chunk_size: int | None = None, **how: Any) -> Any:
            given.append(chunk_size)
            return super().fused(*args, chunk_size=chunk_size, **how)

    row = {"cpu": replace(auto.TABLE["widened_linear_recurrence"]["cpu"], most=most)}
    monkeypatch.setitem(auto.TABLE, "widened_linear_recurrence", row)
    cell = Recording(4, state_size=6)
    params, xs = backend.asarray((cell.init(0), np.ones((batch, 9, 4), "float32")))
    cell.apply(params, xs)
    cell.apply(params, xs, method="fused", chunk_size=3)
    assert given == [size, 3]


# --- what is not finite ----------------------------------------------------------------------------


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_segment_stays_wrong_until_its_next_start(
    name: str, value: float, backend: Backend
) -> None:
    model, params, xs, _ = data(name)
    starts = np.zeros((2, 7), bool)
    starts[:, 4] = True
    bad = np.array(xs)
    bad[0, 2, 1] = value
    flags = backend.asarray(starts)
    for method in runnable(model, params):
        want = model.apply(*backend.asarray((params, xs)), starts=flags, method=method)
        state, ys = model.apply(*backend.asarray((params, bad)), starts=flags, method=method)
        expected = np.array(want[1])
        expected[0, 2:4] = np.nan
        close(ys, expected)
        close(state, want[0])
        # Cut inside of the wrong segment: its state says that it is wrong.
        cut = backend.asarray(bad[:, :3])
        middle, _ = model.apply(backend.asarray(params), cut, method=method)
        floats = [np.asarray(x) for x in optree.tree_leaves(middle) if "float" in str(x.dtype)]
        assert all(np.isnan(x[0]).all() and np.isfinite(x[1]).all() for x in floats)
        rest, ends = backend.asarray((bad[:, 3:], starts[:, 3:]))
        after, later = model.apply(
            backend.asarray(params), rest, middle, starts=ends, method=method
        )
        close((after, later), (want[0], expected[:, 3:]))


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", VECTORS)
def test_padding_may_hold_anything(name: str, backend: Backend) -> None:
    model, params, xs, starts = data(name)
    valid = np.ones((2, 7), bool)
    valid[:, [1, 5]] = False
    bad = np.where(valid[..., None], xs, np.float32(np.nan))
    how = backend.asarray({"starts": starts, "valid": valid})
    for method in runnable(model, params):
        want = model.apply(*backend.asarray((params, xs)), **how, method=method)
        close(model.apply(*backend.asarray((params, bad)), **how, method=method), want)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", [n for n in VECTORS if MODELS[n].methods])
def test_overflow_is_contained(name: str, backend: Backend) -> None:
    """At step 3 of a segment from 2 to 4, inside of a chunk: neither the past nor what follows sees it."""
    model, params, xs, _ = data(name)
    starts = np.broadcast_to(np.isin(np.arange(7), (2, 5)), (2, 7))
    past = 3 if model.causal else 2

    def others(state: Any, ys: Any) -> Any:
        return state, ys[0, :past], ys[0, 5:], ys[1]

    for method in runnable(model, params):
        want = others(*model.apply(params, xs, starts=starts, method=method))
        for size in (1e19, 1e30, 3e38):
            huge = np.array(xs)
            huge[0, 3] *= size / np.abs(huge[0, 3]).max()
            with np.errstate(all="ignore"):
                close(others(*model.apply(params, huge, starts=starts, method=method)), want)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["lru", "gated_delta_net"])
def test_gradients_do_not_see_what_is_not_finite(name: str, backend: Backend) -> None:
    import jax
    import jax.numpy as jnp

    model, params, xs, _ = data(name, 5)
    starts = backend.asarray(np.broadcast_to(np.arange(5) == 3, (2, 5)))

    def loss(params: Any, xs: Any) -> Any:
        return jnp.sum(model.apply(params, xs, starts=starts)[1][:, 3:] ** 2)

    gradient = jax.jit(jax.grad(loss, (0, 1)))
    bad = np.array(xs)
    bad[:, 1] = np.nan
    close(gradient(*backend.asarray((params, bad))), gradient(*backend.asarray((params, xs))))


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", MODELS)
def test_a_batch_of_no_rows(name: str, backend: Backend) -> None:
    model = MODELS[name]
    params, rows = backend.asarray(model.init(0)), (3,) * (model.input_ndim - 1)
    shape = (0, 7, *rows, model.in_features) if model.input_ndim else (0, 7)
    xs = np.zeros(shape, np.float32 if model.input_ndim else np.int32)
    one = model.apply(model.init(0), np.zeros((1, *xs.shape[1:]), xs.dtype))[1].shape[1:]
    xs = backend.asarray(xs)
    for method in runnable(model, params):
        assert model.apply(params, xs, method=method)[1].shape == (0, *one)
    if model.causal:
        state = memcore.initial_state(model, params, (0,))
        state, y = memcore.step(model, params, state, xs[:, 0, ...])
        assert y.shape == (0, *one[1:])
        memcore.reset(model, params, state, backend.asarray(np.zeros(0, bool)))


# --- a user's own cells ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Counter(memcore.Cell):
    """An integer leaf beside a float one, a learned initial state, and a read of what came before."""

    reads_previous: ClassVar[bool] = True

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        draw = memcore.as_draw(key, dtype)
        return {"h0": draw.normal("h0", (self.in_features,)), "rate": draw.full((), 0.5)}

    def initial_state(self, params: Any) -> Any:
        return {"h": params["h0"], "count": np.zeros((), np.int32)}

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        xp = namespace(inputs)
        rate = xp.astype(params["rate"], inputs.dtype, copy=False)
        return {"h": rate * state["h"] + inputs, "count": state["count"] + 1}

    def read(self, params: Any, state: Any, inputs: Any) -> Any:
        xp = namespace(inputs)
        return state["h"] + xp.astype(state["count"], inputs.dtype)[..., None]


@dataclass(frozen=True)
class Running(memcore.Memoroid):
    """A decayed sum and a count of steps, as a memoroid without a fused form."""

    reads_previous: ClassVar[bool] = True

    init, initial_state, read = Counter.init, Counter.initial_state, Counter.read

    def lift(self, params: Any, inputs: Any) -> Any:
        xp = namespace(inputs)
        rate = xp.astype(params["rate"], inputs.dtype, copy=False)
        return (
            xp.broadcast_to(rate, inputs.shape),
            inputs,
            xp.ones(inputs.shape[:-1], dtype=xp.int32),
        )

    def binary_op(self, params: Any, a: Any, b: Any) -> Any:
        return b[0] * a[0], b[0] * a[1] + b[1], a[2] + b[2]

    def act(self, params: Any, state: Any, element: Any) -> Any:
        decay, total, count = element
        return {"h": decay * state["h"] + total, "count": state["count"] + count}


@dataclass(frozen=True)
class Backwards(memcore.Model):
    """A sum over all that is left of the segment: not causal, and without a state."""

    causal: ClassVar[bool] = False
    methods: ClassVar[tuple[str, ...]] = ("sequential",)  # type: ignore[misc]

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        return {}

    def initial_state(self, params: Any) -> Any:
        return ()

    def _apply(self, params: Any, xs: Any, state: Any, initial: Any, call: memcore.Call) -> Any:
        xp = namespace(xs)
        number = xp.cumulative_sum(xp.astype(call.starts, xp.int32), axis=-1)
        t = xp.arange(xs.shape[-2])
        mask = (number[..., :, None] == number[..., None, :]) & (t[:, None] <= t)
        return state, xp.astype(mask, xs.dtype) @ xs


def by_hand(params: Any, xs: np.ndarray, starts: np.ndarray) -> tuple[Any, np.ndarray]:
    """What Counter and Running do, one number at a time."""
    ys, h, count = np.zeros_like(xs), np.zeros(xs[:, 0].shape), np.zeros(len(xs), np.int32)
    for i in range(len(xs)):
        h[i] = params["h0"]
        for t in range(xs.shape[1]):
            if starts[i, t]:
                h[i], count[i] = params["h0"], 0
            ys[i, t] = h[i] + count[i]
            h[i], count[i] = 0.5 * h[i] + xs[i, t], count[i] + 1
    return {"h": h, "count": count}, ys


@pytest.mark.parametrize("model", [Counter(3), Running(3)], ids=["Cell", "Memoroid"])
def test_a_cell_of_ones_own(model: memcore.Cell, backend: Backend, x64: None) -> None:
    assert model.methods == (
        ("sequential", "associative", "chunked")
        if isinstance(model, Running)
        else ("sequential", "newton")
    )
    rng = np.random.default_rng(0)
    params, xs, starts = model.init(0, "float64"), rng.standard_normal((2, 5, 3)), None
    starts = rng.random((2, 5)) < 0.4
    want = by_hand(params, xs, starts)
    for method in (*runnable(model, backend.asarray(params)), "auto"):
        how = {"starts": backend.asarray(starts), "method": method, "chunk_size": 2}
        close(model.apply(*backend.asarray((params, xs)), **how), want, 1e-12)
    with pytest.raises(ValueError, match="method is 'fused'"):
        model.apply(*backend.asarray((params, xs)), method="fused")
    hash(model)


@pytest.mark.backend("jax")
def test_the_learned_initial_state_has_a_gradient(backend: Backend) -> None:
    import jax
    import jax.numpy as jnp

    model, xs = Running(3), jnp.ones((2, 5, 3))
    starts = jnp.asarray(np.broadcast_to(np.arange(5) == 3, (2, 5)))

    def loss(params: Any, method: str) -> Any:
        return jnp.sum(model.apply(params, xs, starts=starts, method=method)[1])

    for method in model.methods:
        got = jax.grad(loss)(backend.asarray(model.init(0)), method)
        # Read at steps 0, 1, 2 as 1, 1/2, 1/4, and after the start as 1, 1/2: for 2 sequences.
        np.testing.assert_allclose(got["h0"], 2 * (1.75 + 1.5), atol=1e-6)


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("lru", "sequential"),
        ("lru", "associative"),
        ("lru", "chunked"),
        ("gru", "sequential"),
        ("residual_stack", "sequential"),
        ("attention", "sequential"),
        ("s6", "sequential"),
    ],
)
def test_forward_mode(name: str, method: str, backend: Backend, x64: None) -> None:
    """Along a direction it is the gradient's product with that direction."""
    import jax
    import jax.numpy as jnp

    model, rng = MODELS[name], np.random.default_rng(0)
    params = backend.asarray(model.init(0, "float64"))
    xs = backend.asarray(rng.standard_normal((2, 7, model.in_features)))
    starts = backend.asarray(np.broadcast_to(np.arange(7) == 3, (2, 7)))

    def loss(params: Any, xs: Any) -> Any:
        ys = model.apply(params, xs, starts=starts, method=method, chunk_size=3)[1]
        return jnp.sum(jnp.sin(ys))

    along = optree.tree_map(lambda x: backend.asarray(rng.standard_normal(x.shape)), (params, xs))
    _, got = jax.jit(lambda *args: jax.jvp(loss, args, along))(params, xs)
    gradient = jax.jit(jax.grad(loss, (0, 1)))(params, xs)
    products = optree.tree_map(lambda g, v: jnp.sum(g * v), gradient, along)
    close(got, sum(optree.tree_leaves(products)), 1e-10)


@pytest.mark.backend("numpy", "array_api_strict")
def test_a_model_that_is_not_causal(backend: Backend) -> None:
    model, rng = Backwards(3), np.random.default_rng(0)
    xs, starts = rng.standard_normal((2, 7, 3)), np.broadcast_to(np.arange(7) == 4, (2, 7))
    state, ys = model.apply({}, backend.asarray(xs), starts=backend.asarray(starts))
    assert state == ()
    want = np.concatenate(
        [np.cumsum(part[:, ::-1], 1)[:, ::-1] for part in (xs[:, :4], xs[:, 4:])], axis=1
    )
    close(ys, want, 1e-12)
    xs[0, 2], want[0, :4] = np.nan, np.nan  # the whole segment, before the bad step as well
    _, ys = model.apply({}, backend.asarray(xs), starts=backend.asarray(starts))
    close(ys, want, 1e-12)
