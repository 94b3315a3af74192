"""method="newton": the states of a nonlinear cell all at once, against plain loops over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import optree
import pytest

import memcore
from cases.maps import MAPS, Map
from conftest import Backend
from memcore.backend import namespace

jax_only = pytest.mark.backend("jax")
DENSE, DIAGONAL = 4, 70
"""Sizes of a state whose Jacobians are used in full, and by their diagonal."""


def close(got: Any, want: Any, tolerance: float) -> None:
    got, want = (optree.tree_leaves(tree) for tree in (got, want))
    for a, b in zip(got, want, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape and np.isfinite(b).all()
        scale = max(1.0, float(np.max(np.abs(b), initial=0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


def gru_loop(p: Any, xs: Any, h: Any, starts: Any, valid: Any) -> tuple[Any, Any]:
    """``(final state, states (T, N))`` of one sequence, in float64, from the equations of the GRU."""
    p = optree.tree_map(lambda leaf: np.asarray(leaf, np.float64), p)
    h, n, states = np.asarray(h, np.float64), h.shape[-1], []
    for t in range(len(xs)):
        if starts[t]:
            h = np.zeros(n)
        if valid[t]:
            x = xs[t] @ p["input"]["kernel"] + p["input"]["bias"]
            u = h @ p["hidden"]["kernel"] + p["hidden"]["bias"]
            r, z = (1 / (1 + np.exp(-(x + u)[i * n : (i + 1) * n])) for i in (0, 1))
            h = (1 - z) * np.tanh(x[2 * n :] + r * u[2 * n :]) + z * h
        states.append(h)
    return h, np.array(states)


def data(size: int, length: int, dtype: str, batch: tuple[int, ...] = (2,)) -> tuple[Any, ...]:
    rng = np.random.default_rng(length)
    model = memcore.GRU(3, hidden_size=size)
    xs = rng.standard_normal((*batch, length, 3)).astype(dtype)
    state = rng.uniform(-1, 1, (*batch, size)).astype(dtype)
    starts, valid = (rng.random((*batch, length)) < p for p in (0.15, 0.8))
    return model, model.init(0, dtype), xs, state, starts, valid


@jax_only
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("size", "length"), [(DENSE, 1), (DENSE, 5), (DENSE, 33), (DIAGONAL, 33)])
def test_it_is_the_loop(size: int, length: int, dtype: str, backend: Backend, x64: None) -> None:
    model, params, xs, state, starts, valid = data(size, length, dtype)
    arrays = backend.asarray((model.init(0, dtype), xs, state))
    how = {"starts": backend.asarray(starts), "valid": backend.asarray(valid), "method": "newton"}
    after, ys, states = memcore.scan(model, *arrays, **how, return_states=True)
    assert ys.dtype == states.dtype == after.dtype == dtype
    tolerance = 1e-11 if dtype == "float64" else 1e-5
    for i in range(2):
        want, every = gru_loop(params, xs[i], state[i], starts[i], valid[i])
        close((after[i], states[i]), (want, every), tolerance)
        close(ys[i], np.where(valid[i][:, None], every, 0), tolerance)


@jax_only
@pytest.mark.parametrize("batch", [(), (2, 2)])
def test_batch_axes(batch: tuple[int, ...], backend: Backend) -> None:
    model, params, xs, state, starts, valid = data(DENSE, 9, "float32", batch)
    flags = {"starts": backend.asarray(starts), "valid": backend.asarray(valid)}
    after, ys = model.apply(*backend.asarray((params, xs, state)), **flags, method="newton")
    for i in np.ndindex(batch):
        want, every = gru_loop(params, xs[i], state[i], starts[i], valid[i])
        close((after[i], ys[i]), (want, np.where(valid[i][:, None], every, 0)), 1e-5)


def gradients(model: Any, flags: Any, *arrays: Any) -> tuple[Any, Any]:
    """Of a loss over outputs and final state, by ``newton`` and by ``sequential``."""
    import jax
    import jax.numpy as jnp

    def loss(params: Any, xs: Any, state: Any, method: str) -> Any:
        after, ys = model.apply(params, xs, state, **flags, method=method)
        leaves = [jnp.sum(jnp.cos(leaf)) for leaf in jax.tree.leaves(after)]
        return jnp.sum(jnp.sin(ys) * ys) + sum(leaves)

    gradient = jax.jit(jax.grad(loss, (0, 1, 2)), static_argnums=3)
    return gradient(*arrays, "newton"), gradient(*arrays, "sequential")


@jax_only
@pytest.mark.parametrize(
    ("size", "dtype"), [(DENSE, "float64"), (DENSE, "float32"), (DIAGONAL, "float64")]
)
def test_gradients(size: int, dtype: str, backend: Backend, x64: None) -> None:
    model, params, xs, state, starts, valid = data(size, 17, dtype)
    flags = backend.asarray({"starts": starts, "valid": valid})
    got, want = gradients(model, flags, *backend.asarray((params, xs, state)))
    close(got, want, 1e-10 if dtype == "float64" else 5e-5)


@jax_only
def test_gradients_of_gradients_and_vmap(backend: Backend, x64: None) -> None:
    import jax
    import jax.numpy as jnp

    model, params, xs, state, _, _ = data(2, 4, "float64")
    params, xs, state = backend.asarray((params, xs, state))

    def loss(x: Any, h: Any, method: str) -> Any:
        return jnp.sum(jnp.sin(model.apply(params, x, h, method=method)[1]))

    def twice(method: str) -> Any:
        inner = jax.grad(lambda x, h: jnp.sum(jax.grad(loss)(x, h, method) ** 2))
        return jax.jit(jax.vmap(inner))(xs, state)

    close(twice("newton"), twice("sequential"), 1e-10)


@jax_only
def test_half_precision_keeps_its_state_in_float32(backend: Backend) -> None:
    import jax.numpy as jnp

    model, params, xs, state, starts, valid = data(DENSE, 9, "float32")
    low = jnp.asarray(xs).astype(jnp.bfloat16)
    after, ys = model.apply(backend.asarray(params), low, method="newton")
    assert after.dtype == jnp.float32 and ys.dtype == jnp.bfloat16
    want = model.apply(backend.asarray(params), low, method="sequential")
    close((after, ys.astype(jnp.float32)), (want[0], want[1].astype(jnp.float32)), 1e-2)


# --- other cells -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair(memcore.Cell):
    """A state of two leaves of different ranks, learned at the start and read before it moves."""

    reads_previous: ClassVar[bool] = True

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        draw = memcore.as_draw(key, dtype)
        return {"w": draw.normal("w", (2, 3), 0.5), "h0": draw.normal("h0", (3,))}

    def initial_state(self, params: Any) -> Any:
        return {"v": params["h0"], "m": np.full((2, 3), 0.1)}

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        xp, v, m = namespace(inputs), state["v"], state["m"]
        m = xp.tanh(0.5 * m + params["w"] * v[..., None, :])
        return {"v": xp.tanh(inputs + 0.5 * m[..., 0, :] * m[..., 1, :]), "m": m}

    def read(self, params: Any, state: Any, inputs: Any) -> Any:
        return state["v"] + state["m"][..., 0, :]


@jax_only
def test_a_tree_of_states_and_a_learned_beginning(backend: Backend, x64: None) -> None:
    model, rng = Pair(3), np.random.default_rng(0)
    params, xs = model.init(0, "float64"), rng.standard_normal((2, 9, 3))
    starts = rng.random((2, 9)) < 0.3
    begin = optree.tree_map(
        lambda s: np.broadcast_to(s, (2, *s.shape)), model.initial_state(params)
    )
    flags = {"starts": backend.asarray(starts)}
    arrays = backend.asarray((params, xs, begin))
    state, ys = model.apply(*arrays, **flags, method="newton")
    for i in range(2):
        v, m = params["h0"], np.full((2, 3), 0.1)
        for t in range(9):
            if starts[i, t]:
                v, m = params["h0"], np.full((2, 3), 0.1)
            close(ys[i, t], v + m[0], 1e-11)
            m = np.tanh(0.5 * m + params["w"] * v)
            v = np.tanh(xs[i, t] + 0.5 * m[0] * m[1])
        close((state["v"][i], state["m"][i]), (v, m), 1e-11)
    close(*gradients(model, flags, *arrays), 1e-10)


def solve(step: Any, params: Any, state: Any, slots: Any) -> tuple[Any, int, bool]:
    from memcore.backend import jax_newton

    states, iterations, converged = jax_newton.solve(
        step, len(optree.tree_leaves(slots)[0]), params, state, slots
    )
    return states, int(iterations), bool(converged)


@jax_only
def test_what_does_not_converge_is_folded(backend: Backend, x64: None) -> None:
    model, xs = Map(2), backend.asarray(np.zeros((150, 2)) + 1e-4 * np.arange(2))
    h = backend.asarray(np.full(2, 0.3))
    assert not solve(model.step, {}, h, xs)[2]
    flags = {"starts": backend.asarray(np.arange(150) == 130)}
    got = model.apply({}, xs, h, **flags, method="newton")
    want = model.apply({}, xs, h, **flags, method="sequential")
    close(got, want, 1e-12)
    close(*gradients(model, flags, {}, xs, h), 1e-12)


@jax_only
@pytest.mark.parametrize("size", [DENSE, DIAGONAL])
def test_a_large_state_excuses_no_other(size: int, backend: Backend) -> None:
    """One item or cotangent of 1e6: what comes later, or belongs to another sequence, is solved too."""
    import jax
    import jax.numpy as jnp

    model, rng = Map(size, "mixed"), np.random.default_rng(1)
    xs = 0.5 * rng.standard_normal((40, size))
    xs[0] *= 1e6
    weights = np.where(np.arange(40) < 30, 1.0, 1e6)[:, None]
    xs, weights = backend.asarray((xs.astype("float32"), weights.astype("float32")))

    def run(xs: Any, method: str, start: int) -> Any:
        starts = jnp.arange(40) == start
        return model.apply({}, xs, jnp.zeros(size), starts=starts, method=method)[1]

    for start in (5, 40):
        got, want = (run(xs, method, start) for method in ("newton", "sequential"))
        close(got[6:], want[6:], 1e-5)

    def gradient(method: str) -> Any:
        return jax.grad(lambda xs: jnp.sum(weights * run(xs, method, 30)))(xs)

    close(gradient("newton")[1:30], gradient("sequential")[1:30], 5e-5)


@jax_only
@pytest.mark.parametrize("size", [DENSE, DIAGONAL])
@pytest.mark.parametrize("name", ["logistic", "cubic"])
def test_damping_saves_it(name: str, size: int, backend: Backend, x64: None) -> None:
    """From afar the undamped corrections of these maps run away to infinity."""
    xs = 0.01 * np.random.default_rng(0).standard_normal((300, size))
    h, want = np.full(size, 0.3), []
    for x in xs:
        h = MAPS[name](h) + x
        want.append(h)
    start = backend.asarray(np.full(size, 0.3))
    states, iterations, converged = solve(
        Map(size, name).step, {}, start, backend.asarray(xs + 0.0)
    )
    assert converged and iterations < 30
    close(states, np.array(want), 1e-11)


@jax_only
@pytest.mark.parametrize(("size", "most"), [(DENSE, 8), (DIAGONAL, 40)])
def test_few_iterations_where_the_cell_forgets(
    size: int, most: int, backend: Backend, x64: None
) -> None:
    model, params, xs, state, _, _ = data(size, 200, "float64", ())
    inputs = backend.asarray(model.embed(params, xs))
    states, iterations, converged = solve(model.step, *backend.asarray((params, state)), inputs)
    assert converged and iterations <= most
    never = np.zeros(200, bool)
    close(states, gru_loop(params, xs, state, never, ~never)[1], 1e-11)


@jax_only
@pytest.mark.parametrize("scale", [1.0, 1e-170])
def test_the_gradient_takes_two_iterations_with_full_jacobians(
    scale: float, backend: Backend, x64: None
) -> None:
    """Its recurrence is linear: one iteration solves it, the second finds nothing to correct."""
    from memcore.backend.jax_newton import Adjoint

    model, params, xs, state, _, _ = data(DENSE, 50, "float64", ())
    inputs = model.embed(params, xs)
    states = gru_loop(params, xs, state, np.zeros(50, bool), np.ones(50, bool))[1]
    weight = scale * np.random.default_rng(0).standard_normal((50, DENSE))
    slots = (weight, states, np.roll(inputs, -1, axis=0))
    flipped = backend.asarray(tuple(leaf[::-1] for leaf in slots))
    arrays = backend.asarray((params, np.zeros(DENSE)))
    _, iterations, converged = solve(Adjoint(model.step), *arrays, flipped)
    assert converged and iterations == 2


@jax_only
def test_the_gain_is_that_of_a_kalman_filter(backend: Backend, x64: None) -> None:
    """Predict with noise 1, observe with precision w: textbook equations, one step at a time."""
    from memcore.backend.jax_newton import _damped

    rng, w, p, d = np.random.default_rng(0), 0.7, np.zeros(3), np.zeros(3)
    jacobian, residual = rng.normal(size=(2, 17, 3))
    want = []
    for j, r in zip(jacobian, residual, strict=True):
        predicted = j * p * j + 1
        gain = predicted / (predicted + 1 / w)
        # The observation is the last iterate: a correction of zero.
        d = (j * d + r) + gain * (0 - (j * d + r))
        p = (1 - gain) * predicted
        want.append(d)
    args = backend.asarray((jacobian, residual, np.float64(w)))
    close(_damped(*args), np.array(want), 1e-12)


# --- where it runs ---------------------------------------------------------------------------------


@jax_only
def test_inside_a_composite(backend: Backend) -> None:
    parts = (memcore.LRU(3, state_size=2), memcore.GRU(3, hidden_size=4))
    model = memcore.ResidualStack(3, model=parts, layers=2)
    assert model.methods == ("sequential", "associative", "chunked", "fused", "newton")
    params = backend.asarray(model.init(0))
    xs = backend.asarray(np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32))
    close(model.apply(params, xs, method="newton"), model.apply(params, xs), 1e-5)
    with pytest.raises(ValueError, match="method is 'newton', expected one of"):
        parts[0].apply(params, xs, method="newton")


@jax_only
def test_gradients_in_a_stack_of_two_kinds(backend: Backend, x64: None) -> None:
    """A part that lacks the method takes `auto`; values and gradients are those of the fold."""
    import jax

    parts = (memcore.GRU(4, hidden_size=3), memcore.GatedDeltaNet(4, heads=2))
    model = memcore.ResidualStack(3, model=parts, layers=2)
    rng = np.random.default_rng(0)
    xs, starts = rng.standard_normal((2, 5, 3)), rng.random((2, 5)) < 0.3
    params, xs, starts = backend.asarray((model.init(0, "float64"), xs, starts))

    def loss(params: Any, method: str) -> Any:
        return (model.apply(params, xs, starts=starts, method=method)[1] ** 2).sum()

    run = jax.value_and_grad(loss)
    close(run(params, "newton"), run(params, "sequential"), 1e-9)


@pytest.mark.backend("numpy", "array_api_strict")
def test_without_derivatives(backend: Backend) -> None:
    gru = memcore.GRU(3, hidden_size=4)
    stack = memcore.ResidualStack(3, model=gru, layers=1)
    mixed = memcore.ResidualStack(3, model=(gru, memcore.LRU(3)), layers=2)
    for model in (gru, stack, mixed):
        assert "newton" in model.methods
        arrays = backend.asarray((model.init(0), np.zeros((2, 5, 3), np.float32)))
        with pytest.raises(ValueError, match="method is 'newton', which needs derivatives"):
            model.apply(*arrays, method="newton")


@jax_only
@pytest.mark.parametrize("batch", [(0,), (2, 0)])
def test_an_empty_batch(batch: tuple[int, ...], backend: Backend) -> None:
    gru = memcore.GRU(3, hidden_size=4)
    arrays = backend.asarray((gru.init(0), np.zeros((*batch, 5, 3), np.float32)))
    state, ys = gru.apply(*arrays, method="newton")
    assert (state.shape, ys.shape) == ((*batch, 4), (*batch, 5, 4))
