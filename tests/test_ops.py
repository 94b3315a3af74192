"""Every memory rule as a function: against its plain loop, in every method."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import optree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Backend
from memcore import ops
from op_cases import BATCH, OPS, WIDTH, loop
from op_cases.checks import INITIALS, METHODS, RUNS, at, close, drawn, half_or_flag


@pytest.mark.parametrize(("name", "method", "given_initial"), RUNS)
def test_loop(name: str, method: str, given_initial: bool, backend: Backend, x64: None) -> None:
    """A state, an initial state at every start, and padding, all at once."""
    op, arrays, state, initial, starts, valid = drawn(name, 17, initial=given_initial)
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
def test_an_empty_batch_of_full_attention(backend: Backend) -> None:
    q, v = backend.asarray((np.zeros((0, 7, 4, 2)), np.zeros((0, 7, 2, 3))))
    (keys, _, filled), out = ops.window_attention(q, q[..., :2, :], v, None)
    assert (keys.shape, filled.shape, out.shape) == ((0, 7, 2, 2), (0, 7), (0, 7, 4, 3))


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


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", [name for name, op in OPS.items() if op.rule])
@pytest.mark.parametrize("seed", range(3))
def test_laws_of_the_algebra(name: str, seed: int, backend: Backend) -> None:
    rule, inputs = OPS[name].rule(OPS[name].draw(np.random.default_rng(seed), 3))
    h = backend.asarray(OPS[name].state(np.random.default_rng(seed + 100)))
    inputs = backend.asarray(inputs)
    steps = [
        optree.tree_map(lambda x, t=t: x[:, min(t, x.shape[1] - 1), ...], inputs) for t in range(3)
    ]
    a, b, c = (rule.lift(u) for u in steps)

    def op(x: Any, y: Any) -> Any:
        return rule.binary_op(x, y)

    def act(state: Any, element: Any) -> Any:
        return rule.act(state, element)

    close(op(op(a, b), c), op(a, op(b, c)), 1e-12)
    close(act(act(h, a), b), act(h, op(a, b)), 1e-12)
    for u, element in zip(steps, (a, b, c), strict=True):
        close(rule.step(h, u), act(h, element), 1e-12)


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


# --- dtypes ----------------------------------------------------------------------------------------


@pytest.mark.backend("numpy")
@pytest.mark.parametrize(
    ("name", "given_initial", "length"),
    [
        *((*case, 17) for case in INITIALS),
        ("recurrence", True, 256),
        ("gated_delta", True, 256),
        ("softmax", True, 256),
        ("window_sinks", False, 256),
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


@pytest.mark.backend("jax")
def test_a_float64_gate_and_a_numpy_scale(backend: Backend, x64: None) -> None:
    _, arrays, *_ = drawn("gated_delta", 5)
    low = backend.asarray(optree.tree_map(half_or_flag, arrays))
    q, k, v, beta, g = low.values()
    want = ops.delta_rule(q, k, v, beta, g, scale=0.5)
    got = ops.delta_rule(q, k, v, backend.asarray(arrays["beta"]), g, scale=np.float64(0.5))
    assert {x.dtype for x in got} == {np.dtype("float32")}
    close(got, want, 1e-6)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_the_lowest_number_of_float16(method: str, backend: Backend) -> None:
    x = np.full((7, 3), -np.inf, np.float16)
    x[4] = 1
    g = np.full(3, -40000, np.float16)
    lowest = np.full((7, 3), np.finfo(np.float16).min)
    lowest[4:6] = [[1], [-40000]]
    for h in (
        ops.log_sum_exp(x, g, method=method, chunk_size=3)[1],
        ops.max_plus(g, x, method=method, chunk_size=3)[1],
    ):
        assert h.dtype == np.float16
        np.testing.assert_array_equal(h, lowest.astype(np.float16))


# --- gradients -------------------------------------------------------------------------------------


@pytest.mark.backend("jax")
@pytest.mark.parametrize(("name", "given_initial"), INITIALS)
def test_gradients_of_the_fused_form(
    name: str, given_initial: bool, backend: Backend, x64: None
) -> None:
    """In every array, in the state and, if it is given, in the initial state, those of the fold."""
    import jax
    import jax.numpy as jnp

    op, arrays, state, initial, starts, valid = drawn(name, 17, initial=given_initial)
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
@pytest.mark.parametrize("name", ["channel_gated_delta", "dplr_decay", "attention_channel_decay"])
def test_gradients_of_chunks_of_one_step(name: str, backend: Backend, x64: None) -> None:
    import jax
    import jax.numpy as jnp

    op, arrays, state, *_ = drawn(name, 3)

    def loss(arrays: Any, state: Any, method: str) -> Any:
        after, out = op.run(arrays, state, method=method, chunk_size=1)
        return sum(jnp.sum(jnp.sin(x)) for x in optree.tree_leaves((after, out)))

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    given = backend.asarray((arrays, state))
    close(gradient(*given, "fused"), gradient(*given, "sequential"), 1e-10)


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    "name", ["attention_channel_decay", "channel_gated_delta", "dplr_channel_decay"]
)
def test_gradients_of_a_decay_of_minus_infinity(name: str, backend: Backend, x64: None) -> None:
    """Inside a sequence, of all channels and of one: finite, and those of the fold."""
    import jax
    import jax.numpy as jnp

    op, arrays, state, *_ = drawn(name, 17)
    arrays["g"][:, 8:10] = arrays["g"][0, 3, :, 0] = -np.inf

    def loss(arrays: Any, state: Any, method: str) -> Any:
        result = op.run(arrays, state, method=method, chunk_size=5)
        return sum(jnp.sum(jnp.sin(x)) for x in result)

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    given = backend.asarray((arrays, state))
    want = gradient(*given, "sequential")
    assert all(np.all(np.isfinite(leaf)) for leaf in optree.tree_leaves(want))
    assert all(np.any(np.asarray(leaf)) for leaf in optree.tree_leaves(want))
    close(gradient(*given, "fused"), want, 1e-10)


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


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["recurrence", "complex_constant"])
def test_hessian(name: str, backend: Backend, x64: None) -> None:
    """Forward over reverse, and reverse over reverse, of the fused form."""
    import jax
    import jax.numpy as jnp

    op, arrays, state, _, starts, _ = drawn(name, 3)
    starts, arrays, state = backend.asarray((starts, arrays, state))

    def loss(arrays: Any, method: str) -> Any:
        out = op.run(arrays, state, starts=starts, method=method)[1]
        return sum(jnp.sum(jnp.sin(x)) for x in optree.tree_leaves(out))

    def steepness(arrays: Any, method: str) -> Any:
        gradient = jax.grad(loss)(arrays, method)
        return sum(jnp.sum(x**2) for x in jax.tree.leaves(gradient))

    for twice in (jax.hessian(loss), jax.grad(steepness)):
        twice = jax.jit(twice, static_argnums=1)
        close(twice(arrays, "fused"), twice(arrays, "sequential"))
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda x: loss(x, "fused"), (arrays,), (arrays,))


@pytest.mark.backend("numpy")
def test_lists_are_flags(backend: Backend) -> None:
    starts = [False, True, False, False, True]
    rng = np.random.default_rng(0)
    b = rng.standard_normal((2, 5, WIDTH))
    got = ops.linear_recurrence(np.full(WIDTH, 0.5), b, starts=starts)
    want = ops.linear_recurrence(np.full(WIDTH, 0.5), b, starts=np.array([starts] * 2))
    close(got, want, 0)


# --- compilation -----------------------------------------------------------------------------------


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """The compilations of JAX meanwhile."""
    import jax

    found: list[str] = []

    def listen(event: str, duration: float, **kwargs: Any) -> None:
        if "backend_compile" in event:
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["delta", "log_sum_exp"])
def test_transformations(name: str, backend: Backend) -> None:
    """jit, vmap, grad; and a second call does not compile again."""
    import jax
    import jax.numpy as jnp

    op, arrays, state, *_ = drawn(name, 5)
    arrays, state = backend.asarray(optree.tree_map(half_or_flag, (arrays, state)))

    def loss(run: Any, arrays: Any, state: Any) -> Any:
        return jnp.sum(jnp.sin(run(arrays, state)[1]))

    vmapped = jax.vmap(op.run)
    want = op.run(arrays, state)
    close(jax.jit(op.run)(arrays, state), want, 1e-6)
    close(vmapped(arrays, state), want, 1e-6)
    gradient = jax.grad(loss, 1)(op.run, arrays, state)
    close(jax.jit(jax.grad(loss, 1), static_argnums=0)(vmapped, arrays, state), gradient, 1e-6)
    with compilations() as again:
        op.run(arrays, state)
    assert not again


@pytest.mark.backend("jax")
def test_a_rotation_is_one_compiled_call(backend: Backend) -> None:
    angles = backend.asarray(np.ones((2, 7, 6), np.float32))
    with compilations() as first:
        ops.rotation(angles)
    assert len(first) == 1
