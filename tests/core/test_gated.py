"""A `GatedCell` on JAX: without a gradient the fold embeds its inputs itself, some steps at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import optree
import pytest

import memcore
from cases.checks import close
from conftest import Backend
from memcore.backend import FEWEST_STEPS, states_of_fold
from memcore.engine.gated import FEWEST_ROWS, _at_once

MODELS = {
    "gru": memcore.GRU(3, hidden_size=4),
    "lstm": memcore.LSTM(3, hidden_size=4),
    "elman": memcore.Elman(3, hidden_size=4),
}


@dataclass(frozen=True)
class Own(memcore.GRU):
    """A cell with a fused form of its own, as the contract has it."""

    def fused(
        self, params: Any, state: Any, inputs: Any, starts: Any, *, initial: Any = None,
        valid: Any = None, chunk_size: int | None = None,
    ) -> Any:  # fmt: skip
        how = {"initial": initial, "valid": valid, "chunk_size": chunk_size}
        return super().fused(params, state, inputs, starts, **how)


MODELS["own"] = Own(3, hidden_size=4)


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    ("batch", "length", "room", "steps"),
    [
        ((), 19, FEWEST_STEPS, FEWEST_STEPS),
        ((2,), 2 * FEWEST_STEPS, FEWEST_STEPS, FEWEST_STEPS),
        ((2, 2), 29, 10, 10),
        ((2,), 1, 1, 1),
        ((16,), 9, FEWEST_STEPS - 1, 1),
        ((4, 4), 5, 5, 5),
        ((3,), 20, 30, 20),
        ((0,), 3, 3, 3),
    ],
)
@pytest.mark.parametrize("name", MODELS)
def test_inputs_embedded_by_the_fold(
    name: str,
    batch: tuple[int, ...],
    length: int,
    room: int,
    steps: int,
    backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The numbers of NumPy's fold; the last steps too, where they do not fill what is embedded at once."""
    width = 4 * {"elman": 1, "lstm": 4}.get(name, 3)
    size = room * max(1, int(np.prod(batch))) * width * 4
    monkeypatch.setattr("memcore.engine.gated.EMBEDDED_BYTES", size)
    asked: list[int] = []

    def spied(functions: Any, axis: int, steps: int, *args: Any) -> Any:
        asked.append(1 if args[-1] is None else min(steps, length))
        assert (functions[3] is not None) == (name == "lstm" and np.prod(batch) >= FEWEST_ROWS)
        return states_of_fold(functions, axis, steps, *args)

    monkeypatch.setattr("memcore.engine.gated.states_of_fold", spied)
    model, rng = MODELS[name], np.random.default_rng(0)
    params = model.init(0)
    xs = rng.standard_normal((*batch, length, 3)).astype(np.float32)
    state, _ = model.apply(params, xs)
    flags = {"starts": rng.random(xs.shape[:-1]) < 0.3, "valid": rng.random(xs.shape[:-1]) < 0.7}
    arrays: Any = backend.asarray((params, xs, state))
    for how in ({}, flags):
        want = model.apply(params, xs, state, **how, method="sequential")
        got = model.apply(*arrays, **backend.asarray(how), method="fused")
        close(got, want, 1e-5)
    assert set(asked) == {1 if name == "own" else steps}


@pytest.mark.parametrize(
    ("shape", "steps"),
    [
        ((4, 1024, 3 * 256), 256),
        ((8, 128, 3 * 256), 128),
        ((256, 32, 3 * 128), 8),
        ((256, 32, 4 * 128), 1),
        ((1024, 16, 3 * 64), 1),
        ((4, 1024, 256), 768),
        ((0, 128, 3 * 64), 128 * 3 * 2**20),
        ((2, 0, 3 * 64), 1),
        ((1, 4, 3 * 64), 4096),
    ],
)
def test_so_many_steps_are_embedded_at_once(shape: tuple[int, ...], steps: int) -> None:
    """As many as take 3 MB, if they are not few; so many as there were more steps."""
    embedded = [None, np.broadcast_to(np.float32(0), shape)]
    assert _at_once(embedded, shape[-2]) == steps


class OwnEmbedding(memcore.LSTM):
    """One whose inputs are not the product that `LSTM` has."""

    def embed(self, params: Any, x: Any) -> Any:
        return 2 * super().embed(params, x)


class OwnProjection(memcore.LSTM):
    """The same of its projection."""

    def project(self, params: Any, state: Any, inputs: Any) -> Any:
        return 2 * super().project(params, state, inputs)


class OwnUpdate(memcore.LSTM):
    """One whose update reads the inputs by themselves too."""

    def update(self, state: Any, inputs: Any, hidden: Any) -> Any:
        h, c = super().update(state, inputs, hidden)
        return h + 0.1 * inputs[..., : self.hidden_size], c


@pytest.mark.backend("jax")
@pytest.mark.parametrize("model", [memcore.LSTM, OwnEmbedding, OwnProjection, OwnUpdate])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("heads", [1, 2])
def test_one_product_enters(model: Any, dtype: str, heads: int, backend: Backend) -> None:
    """Where it is the same sum: a step has one product of the LSTM as it is. The numbers are those of the
    plain fold in any case."""
    import jax

    cell = model(3, hidden_size=6, heads=heads)
    params = backend.asarray(cell.init(0))
    rng = np.random.default_rng(0)
    xs = backend.asarray(rng.standard_normal((FEWEST_ROWS, 9, 3)).astype(np.float32)).astype(dtype)
    starts = backend.asarray(rng.random((FEWEST_ROWS, 9)) < 0.2)

    def run(params: Any, xs: Any, method: str) -> Any:
        return cell.apply(params, xs, starts=starts, method=method)

    close(run(params, xs, "fused"), run(params, xs, "sequential"), 1e-5)
    mixed = jax.tree.map(lambda p: p.astype("bfloat16"), params)
    assert "[9,24]" not in str(
        jax.make_jaxpr(lambda x: run(mixed, x, "fused"))(xs.astype("float32"))
    )
    joined = jax.make_jaxpr(lambda p, x: run(p, x, "fused"))(params, xs)
    assert ("f32[9,24]" in str(joined)) == (
        model is memcore.LSTM and dtype == "float32" and heads == 1
    )


@pytest.mark.backend("jax")
@pytest.mark.parametrize("reverse", [False, True])
def test_a_fold_writes_over_what_it_read(reverse: bool, backend: Backend, x64: None) -> None:
    """The numbers and derivatives of `jax.lax.scan` over the same body; what it was given stays."""
    import jax
    import jax.numpy as jnp

    from memcore.backend.jax_folds import fold_in_place

    def body(w: Any, carry: Any, slot: Any) -> Any:
        x, (y, z) = slot
        carry = jnp.tanh(w * carry + x * y - z)
        return carry, (carry * z, carry + y)

    rng = np.random.default_rng(0)
    w, x, y, z = rng.standard_normal(3), *rng.standard_normal((3, 2, 5, 3))
    w, x, y, z = backend.asarray((w, x, y, z))

    def folded(w: Any, x: Any, y: Any, z: Any) -> Any:
        zeros = jnp.zeros_like(x[:, 0])
        return fold_in_place(body, w, zeros, (x, (y, z)), 1, reverse=reverse, over=True)

    def scanned(w: Any, *xs: Any) -> Any:
        x, y, z = (jnp.swapaxes(x, 0, 1) for x in xs)
        carry, ys = jax.lax.scan(
            lambda c, s: body(w, c, s), jnp.zeros_like(x[0]), (x, (y, z)), reverse=reverse
        )
        return carry, jax.tree.map(lambda y: jnp.swapaxes(y, 0, 1), ys)

    before = np.asarray(y).copy()
    for f in (lambda f: f, jax.jit, lambda f: jax.jacrev(f, (0, 2)), lambda f: jax.jacfwd(f, 3)):
        for a, b in zip(
            *(optree.tree_leaves(f(g)(w, x, y, z)) for g in (folded, scanned)), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(y, before)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("fold", ["in place", "of chunks"])
def test_what_a_step_reads_does_not_depend_on_what_came_of_the_last(
    fold: str, backend: Backend
) -> None:
    """Not where that is NaN either: it says when the next slot is taken, never which."""
    import jax.numpy as jnp

    from memcore.backend.jax_folds import fold_in_place, fold_of_chunks

    def body(_: Any, carry: Any, x: Any) -> Any:
        return carry + x, x

    x = backend.asarray(np.arange(22, dtype=np.float32).reshape(2, 11))
    carry = jnp.array([jnp.nan, 1.0])
    if fold == "in place":
        runs = [
            fold_in_place(body, None, carry, x, 1, reverse=r, ahead=True) for r in (False, True)
        ]
    else:
        runs = [
            fold_of_chunks(lambda _, x: x, body, None, carry, x, 1, size) for size in (1, 4, 11)
        ]
    for last, read in runs:
        np.testing.assert_array_equal(read, x)
        np.testing.assert_array_equal(last, [np.nan, 1 + np.arange(11, 22).sum()])


@dataclass(frozen=True)
class Leaky(memcore.GRU):
    """A number in the update that has no axes."""

    def update(self, state: Any, inputs: Any, hidden: Any) -> Any:
        return 0.9 * state + 0.1 * super().update(state, inputs, hidden)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("batch", [(2,), (2, 2)])
def test_an_update_may_multiply_by_a_number(batch: tuple[int, ...], backend: Backend) -> None:
    """Its gradient keeps the number, which stands at no time."""
    import jax

    model, rng = Leaky(3, hidden_size=4), np.random.default_rng(0)
    xs = rng.standard_normal((*batch, 6, 3)).astype(np.float32)
    params, xs = backend.asarray((model.init(0), xs))

    def loss(params: Any, method: str) -> Any:
        return jax.numpy.sum(model.apply(params, xs, method=method)[1] ** 2)

    got, want = (jax.grad(loss)(params, method) for method in ("fused", "sequential"))
    for a, b in zip(*map(optree.tree_leaves, (got, want)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    ("model", "own"),
    [
        (memcore.Elman(3, hidden_size=4), True),
        (memcore.GRU(3, hidden_size=4), True),
        (memcore.LSTM(3, hidden_size=4), True),
        (memcore.GRU(3, hidden_size=4, reset="before"), False),
        (memcore.MGU(3, hidden_size=4), False),
        (memcore.IndRNN(3, hidden_size=4), False),
        (memcore.RTU(3, hidden_size=4), False),
        (memcore.SLSTM(3, hidden_size=4, heads=2), False),
    ],
)
def test_a_gradient_of_its_own_where_the_state_alone_is_multiplied(
    model: Any, own: bool, backend: Backend
) -> None:
    """Else a gradient makes more anew at every step than it saves, or XLA copies what has all steps."""
    import jax

    params, x = backend.asarray((model.init(0), np.zeros((2, 5, 3), np.float32)))
    program = jax.make_jaxpr(lambda p, x: model.apply(p, x, method="fused")[1])(params, x)
    assert ("custom_vjp" in str(program)) == own


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["gru", "lstm", "elman"])
def test_vmap_makes_chunks_shorter(
    name: str, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the size of the batch, of nested ones by both; the numbers and gradients of leading batch axes."""
    import jax

    from memcore.backend import jax_folds

    model, asked = MODELS[name], []
    run_chunks = jax_folds._run_chunks
    width = 4 * {"elman": 1, "lstm": 4}.get(name, 3)
    monkeypatch.setattr("memcore.engine.gated.EMBEDDED_BYTES", 64 * width * 4)

    def spied(make: Any, body: Any, axis: int, size: int, *args: Any) -> Any:
        asked.append(size)
        return run_chunks(make, body, axis, size, *args)

    monkeypatch.setattr(jax_folds, "_run_chunks", spied)
    rng = np.random.default_rng(0)
    params = backend.asarray(model.init(0))
    xs = backend.asarray(rng.standard_normal((2, 3, 64, 3)).astype(np.float32))
    starts = backend.asarray(rng.random((2, 3, 64)) < 0.1)

    def run(params: Any, xs: Any, starts: Any) -> Any:
        return model.apply(params, xs, starts=starts)[1]

    one = jax.vmap(run, (None, 0, 0))
    two = jax.vmap(one, (None, 0, 0))
    want = run(params, xs, starts)
    asked.clear()
    close(two(params, xs, starts), want, 1e-6)
    assert asked[-1] == 64 // 6
    flat, begins = xs.reshape(6, 64, 3)[:5], starts.reshape(6, 64)[:5]
    asked.clear()
    close(one(params, flat, begins), run(params, flat, begins), 1e-6)
    assert 64 // 5 in asked
    close(
        jax.vmap(one, (None, None, None), axis_size=9)(params, flat, begins)[8],
        one(params, flat, begins),
        1e-6,
    )
    ensemble = jax.tree.map(lambda p: jax.numpy.stack([p, 2 * p]), params)
    close(jax.vmap(run, (0, None, None))(ensemble, xs, starts)[0], want, 1e-6)
    got, wanted = (
        jax.grad(lambda p, f=f: jax.numpy.sum(f(p, xs, starts) ** 2))(params) for f in (two, run)
    )
    close(got, wanted, 1e-4)
    each = jax.vmap(jax.grad(lambda p, x: jax.numpy.sum(run(p, x, None) ** 2)), (None, 0))
    total = jax.grad(lambda p: jax.numpy.sum(run(p, xs, None) ** 2))(params)
    close(jax.tree.map(lambda g: g.sum(0), each(params, xs)), total, 1e-4)


@dataclass(frozen=True)
class Halving(memcore.LSTM):
    """One whose state is halved behind every step."""

    def turn(self, params: Any, state: Any) -> Any:
        return state[0] / 2, state[1] / 2


@pytest.mark.backend("jax")
def test_a_turn_behind_every_step(backend: Backend) -> None:
    """`fused` takes it too."""
    model = Halving(3, hidden_size=4)
    params = backend.asarray(model.init(0))
    xs = backend.asarray(np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32))
    want = model.apply(params, xs, method="sequential")
    close(model.apply(params, xs, method="fused"), want, 1e-6)
    assert not np.allclose(want[1], memcore.LSTM(3, hidden_size=4).apply(params, xs)[1])


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["gru", "lstm", "elman", "own"])
def test_vmap_of_what_is_compiled(name: str, backend: Backend) -> None:
    """Of any batch, of one left open, and where ranks may not be promoted; its gradient, of as many sequences
    as steps too."""
    import jax
    import jax.export

    model = MODELS[name]
    params = backend.asarray(model.init(0))
    rng = np.random.default_rng(0)
    xs = backend.asarray(rng.standard_normal((9, 9, 3)).astype(np.float32))
    weights = backend.asarray(rng.standard_normal((9, 1, 1)).astype(np.float32))

    @jax.jit
    def run(params: Any, xs: Any) -> Any:
        return model.apply(params, xs)[1]

    each = jax.vmap(run, (None, 0))

    def loss(run: Any) -> Any:
        return jax.jit(jax.value_and_grad(lambda p: jax.numpy.sum(weights * run(p, xs))))(params)

    close(loss(each), loss(run), 1e-5)
    with jax.numpy_rank_promotion("raise"):
        close(jax.vmap(each, (None, 0))(params, xs[None])[0], each(params, xs), 1e-6)
    assert each(params, xs[:0]).shape == (0, 9, 4)
    shape = jax.ShapeDtypeStruct(jax.export.symbolic_shape("b, 9, 3"), xs.dtype)
    program = jax.export.export(jax.jit(each))(params, shape)
    close(program.call(params, xs), each(params, xs), 1e-6)
