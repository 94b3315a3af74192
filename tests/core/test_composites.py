"""What the engine promises of composites, grids, ranks and randomness, on models written for the purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import optree
import pytest

import memcore
from conftest import Backend
from memcore.backend import namespace
from memcore.engine import Parts
from memcore.layers.short_convolution import ShortConvolution
from memcore.testing import check_model


@dataclass(frozen=True)
class Two(memcore.Model):
    """A convolution, then a GRU; ``wrong`` says what `run_parts` does besides, or does not."""

    wrong: str = ""

    @property
    def parts(self) -> dict[str, memcore.Model]:
        return {
            "conv": ShortConvolution(self.in_features, 3),
            "gru": memcore.GRU(self.in_features, hidden_size=self.in_features),
        }

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        draw = memcore.as_draw(key, dtype)
        return {name: part.init(draw.child(name)) for name, part in self.parts.items()}

    def run_parts(self, params: Any, xs: Any, run: Parts) -> Any:
        u = run("conv", params["conv"], xs)
        if self.wrong == "undeclared":
            u = run("other", params["conv"], u)
        if self.wrong == "twice":
            u = run("conv", params["conv"], u)
        return u if self.wrong == "left out" else run("gru", params["gru"], u)


MESSAGES = {
    "undeclared": r"^part is 'other', which Two\(.*\) does not declare: its parts are \('conv', 'gru'\)",
    "twice": r"^part 'conv' of Two\(.*\) ran already",
    "left out": r"^Two\(.*\) declares the part 'gru' and did not run it",
}


@pytest.mark.parametrize("wrong", MESSAGES)
def test_parts_are_those_declared(wrong: str, backend: Backend) -> None:
    """On every run, and in step."""
    model = Two(3, wrong=wrong)
    params, xs = backend.asarray((model.init(0), np.zeros((2, 5, 3), np.float32)))
    state = memcore.initial_state(model, params, (2,))
    for run in (
        lambda: model.apply(params, xs),
        lambda: memcore.step(model, params, state, xs[:, 0, ...]),
    ):
        for _ in range(2):
            with pytest.raises(ValueError, match=MESSAGES[wrong]):
                run()
    if backend.name == "jax":
        import jax

        for _ in range(2):
            with pytest.raises(ValueError, match=MESSAGES[wrong]):
                jax.jit(model.apply)(params, xs)


def test_a_declaration_that_changes_is_noticed(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was compiled before hides nothing."""
    model = Two(3)
    params, xs = backend.asarray((model.init(0), np.zeros((2, 5, 3), np.float32)))
    model.apply(params, xs)
    more = {**model.parts, "third": memcore.LRU(3)}
    monkeypatch.setattr(Two, "parts", property(lambda self: more))
    with pytest.raises(ValueError, match=r"declares the part 'third' and did not run it"):
        model.apply(params, xs)


@pytest.mark.backend("numpy")
def test_a_composite_needs_its_parts_alone(backend: Backend) -> None:
    model = Two(3)
    check_model(model)
    assert memcore.explain(model, 100).splitlines()[0].startswith("conv/causal_convolution: fused")
    assert set(model.methods) == {"sequential", "associative", "chunked", "fused", "newton"}
    labels = model.labels(model.init(0))
    assert labels["conv"] == {"kernel": "matrix"} and labels["gru"]["input"]["bias"] == "bias"
    assert set(model.initial_state(model.init(0))) == {"conv", "gru"}
    assert model.causal and model.grid == 1


# --- the grid --------------------------------------------------------------------------------------

TTT = memcore.TTTLinear(6, heads=2, mini_batch=4)


def test_rows_in_different_phases(backend: Backend) -> None:
    params, xs = backend.asarray((TTT.init(0), np.ones((2, 5, 6), np.float32)))
    state = memcore.initial_state(TTT, params, (2,))
    state = {**state, "phase": backend.asarray(np.array([1, 2], np.int32))}
    if backend.name != "jax":
        with pytest.raises(ValueError, match=r"^state/phase is \[1, 2\], expected one number"):
            TTT.apply(params, xs, state)
        return
    import jax

    _, ys = TTT.apply(params, xs, state)
    assert np.isfinite(ys[0]).all() and np.isnan(ys[1]).all()
    _, apart = jax.vmap(lambda x, s: TTT.apply(params, x, s))(xs, state)
    assert np.isfinite(apart).all()


@pytest.mark.backend("numpy")
def test_phases(backend: Backend) -> None:
    params = TTT.init(0)
    assert memcore.initial_state(TTT, params, (2,), phase=3)["phase"].tolist() == [3, 3]
    with pytest.raises(ValueError, match="^phase is 4, expected one of 0 to 3"):
        memcore.initial_state(TTT, params, phase=4)
    with pytest.raises(ValueError, match="^phase is 1, expected one of 0 to 0"):
        memcore.initial_state(memcore.GRU(3), memcore.GRU(3).init(0), phase=1)
    stack = memcore.ResidualStack(3, model=(TTT, memcore.TTTLinear(6, heads=2, mini_batch=6)))
    assert stack.grid == 12
    check_model(stack, length=13, laws=["execution", "reset", "stream"])


CALLS: list[int] = []


@dataclass(frozen=True)
class Doubling(memcore.Cell):
    """A sum that doubles at every border of its grid, and says so."""

    @property
    def grid(self) -> int:
        return 4

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        return {"zero": memcore.as_draw(key, dtype).zeros((self.in_features,), label="matrix")}

    def initial_state(self, params: Any) -> Any:
        return np.zeros(self.in_features)

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        return state + inputs

    def turn(self, params: Any, state: Any) -> Any:
        if isinstance(state, np.ndarray) or "strict" in namespace(state).__name__:
            CALLS.append(1)
        else:
            import jax

            jax.debug.callback(lambda: CALLS.append(1))
        return 2 * state


@pytest.mark.parametrize("way", ["sequential", "step"])
def test_a_turn_is_computed_at_borders_alone(way: str, backend: Backend) -> None:
    model, xs = Doubling(2), np.ones((3, 9, 2), np.float32)
    params, xs = backend.asarray((model.init(0), xs))
    state = memcore.initial_state(model, params, (3,))
    CALLS.clear()
    if way == "step":
        for t in range(9):
            state, y = memcore.step(model, params, state, xs[:, t, :])
            found = np.asarray(y)
    else:
        state, ys = model.apply(params, xs, state, method="sequential")
        found = np.asarray(ys)[:, -1]
    np.testing.assert_array_equal(found, np.full((3, 2), 25))  # ((4 * 2) + 4) * 2 + 1
    if backend.name == "jax":
        import jax

        jax.effects_barrier()
    assert len(CALLS) == 2


@pytest.mark.backend("jax")
def test_rows_at_other_places_are_lost_whole(backend: Backend) -> None:
    """JAX does not know the phases of a call: a wrong state must not look like one, nor an output."""
    model = Doubling(2)
    params, xs = backend.asarray((model.init(0), np.ones((2, 3, 2), np.float32)))
    state = memcore.initial_state(model, params, (2,))
    state = {**state, "phase": backend.asarray(np.array([0, 2], np.int32))}
    for n in (False, 1):
        after, ys, *states = memcore.scan(model, params, xs, state, return_states=n)
        found = [after["memory"], ys, *(s["memory"] for s in states)]
        assert all(np.isfinite(x[0]).all() and np.isnan(x[1]).all() for x in found)


@pytest.mark.backend("jax")
def test_each_row_turns_at_its_own_border_under_vmap(backend: Backend) -> None:
    import jax

    model = Doubling(2)
    params, x = backend.asarray((model.init(0), np.ones((4, 2), np.float32)))
    rows = [memcore.initial_state(model, params, phase=phase) for phase in range(4)]
    state = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *rows)
    step = jax.vmap(lambda s, x: memcore.step(model, params, s, x)[0])
    after = step(step(state, x), x)
    np.testing.assert_array_equal(after["memory"][:, 0], [2, 2, 4, 3])
    np.testing.assert_array_equal(after["phase"], [2, 3, 0, 1])


# --- ranks -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pictures(memcore.Memoroid):
    """A running sum of pictures, ``(rows, in_features)`` at each step."""

    input_ndim = output_ndim = 2

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        return {"scale": memcore.as_draw(key, dtype).ones((self.in_features,))}

    def initial_state(self, params: Any) -> Any:
        return np.zeros((3, self.in_features))

    def lift(self, params: Any, inputs: Any) -> Any:
        return inputs * params["scale"]

    def binary_op(self, params: Any, a: Any, b: Any) -> Any:
        return a + b

    act = binary_op


@dataclass(frozen=True)
class Counts(Pictures):
    """How much there was, one number a step."""

    output_ndim = 0  # type: ignore[assignment]

    def output(self, params: Any, read: Any, inputs: Any) -> Any:
        return namespace(read).sum(read, axis=(-2, -1))


@pytest.mark.parametrize("model", [Pictures(2), Counts(2)])
def test_models_of_pictures(model: memcore.Model, backend: Backend) -> None:
    laws = ["associativity", "action", "step", "execution", "reset", "stream", "backend"]
    laws = laws[-1:] if backend.name == "jax" else laws
    check_model(model, backend=backend.name, length=5, laws=laws)
    params = backend.asarray(model.init(0))
    xs = backend.asarray(np.ones((4, 0, 3, 2), np.float32))
    _, ys = model.apply(params, xs)
    assert tuple(ys.shape) == ((4, 0, 3, 2) if model.output_ndim else (4, 0))


# --- pieces, randomness, learned states ---------------------------------------------------------------


@pytest.mark.parametrize("with_starts", [False, True])
def test_a_piece_of_many_chunks_is_one_element(with_starts: bool, backend: Backend) -> None:
    """Of cells that widen their inputs chunk by chunk, with padding."""
    rng = np.random.default_rng(0)
    for cell in (memcore.S6(3, state_size=2), memcore.SHM(3, state_size=2)):
        params = backend.asarray(cell.init(0))
        xs = backend.asarray(rng.standard_normal((2, 37, 3)).astype(np.float32))
        starts = backend.asarray(np.isin(np.arange(37), [3, 20]) & np.asarray([[True], [False]]))
        starts, valid = starts if with_starts else None, backend.asarray(rng.random((2, 37)) < 0.7)
        state, _ = cell.apply(params, xs)
        want, _ = cell.apply(params, xs, state, starts=starts, valid=valid)
        start, used, element = cell.total(params, cell.embed(params, xs), starts, valid)
        fresh = memcore.initial_state(cell, params, (2,))
        before = (
            state if start is None else namespace(start).where(start[:, None, None], fresh, state)
        )
        got = cell.act(params, before, element)
        assert np.asarray(used).all()
        np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("with_starts", [False, True])
def test_a_piece_as_one_element(with_starts: bool, backend: Backend) -> None:
    rng = np.random.default_rng(0)
    for cell in (memcore.LRU(3, state_size=4), memcore.LinearAttention(4, heads=2), memcore.S6(3)):
        params = backend.asarray(cell.init(0))
        xs = backend.asarray(rng.standard_normal((2, 7, cell.in_features)).astype(np.float32))
        starts = backend.asarray(np.isin(np.arange(7), [3]) & np.ones((2, 1), bool))
        starts = starts if with_starts else None
        state, _ = cell.apply(params, xs)
        want, _ = cell.apply(params, xs, state, starts=starts)
        start, _, element = cell.total(params, cell.embed(params, xs), starts)
        begin = memcore.initial_state(cell, params, (2,)) if with_starts else state
        got = cell.act(params, begin, element)
        assert (start is None) != with_starts
        for a, b in zip(optree.tree_leaves(got), optree.tree_leaves(want), strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-4)


@dataclass(frozen=True)
class Noisy(memcore.GRU):
    """Noise in the inputs of the recurrence, where there is a key."""

    def perturb(self, params: Any, inputs: Any, key: memcore.Draw) -> Any:
        return inputs + 0.1 * namespace(inputs).asarray(key.normal("noise", inputs.shape))


def test_a_key_reaches_a_cell(backend: Backend) -> None:
    model = Noisy(3, hidden_size=4)
    params, xs = backend.asarray((model.init(0), np.ones((2, 5, 3), np.float32)))
    plain = np.asarray(model.apply(params, xs)[1])
    one, again, other = (np.asarray(model.apply(params, xs, key=key)[1]) for key in (1, 1, 2))
    assert np.array_equal(one, again)
    assert np.abs(one - plain).max() > 1e-3 and np.abs(one - other).max() > 1e-3


@pytest.mark.backend("jax")
def test_a_learned_state_learns_from_every_start(backend: Backend) -> None:
    """A gradient with two starts is the sum of those of two sequences."""
    import jax

    model = memcore.LearnedState(memcore.LSTM(3, hidden_size=4))
    params, rng = backend.asarray(model.init(0)), np.random.default_rng(0)
    xs = backend.asarray(rng.standard_normal((6, 3)).astype(np.float32))
    starts = backend.asarray(np.isin(np.arange(6), [0, 4]))

    def loss(params: Any, xs: Any, starts: Any = None) -> Any:
        return (model.apply(params, xs, starts=starts)[1] ** 2).sum()

    packed = jax.grad(loss)(params, xs, starts)["initial"]
    apart = [jax.grad(loss)(params, part)["initial"] for part in (xs[:4], xs[4:])]
    for name, got in packed.items():
        assert np.abs(apart[0][name]).max() > 0 < np.abs(apart[1][name]).max()
        np.testing.assert_allclose(got, apart[0][name] + apart[1][name], rtol=1e-5, atol=1e-6)


def test_a_cache_that_is_full(backend: Backend) -> None:
    """One step too many in a segment raises on NumPy, and is NaN on JAX until the next start."""
    model = memcore.Attention(4, heads=2, window=None, capacity=5)
    params = backend.asarray(model.init(0))
    xs = np.random.default_rng(0).standard_normal((1, 12, 4)).astype(np.float32)
    fits = np.isin(np.arange(12), [5, 10])[None]
    _, want = memcore.Attention(4, heads=2, window=64).apply(model.init(0), xs, starts=fits)
    args = backend.asarray((xs, fits))
    for method in ("sequential", "fused"):
        _, ys = model.apply(params, args[0], starts=args[1], method=method, chunk_size=4)
        np.testing.assert_allclose(np.asarray(ys), want, atol=1e-5)
        late = backend.asarray(np.isin(np.arange(12), [7])[None])  # steps 5 and 6 do not fit
        if backend.name != "jax":
            with pytest.raises(ValueError, match="a segment of more than 5 steps"):
                model.apply(params, args[0], starts=late, method=method)
            continue
        ys = np.asarray(model.apply(params, args[0], starts=late, method=method)[1])
        assert np.isnan(ys[0]).any(axis=-1).tolist() == [5 <= t < 7 for t in range(12)]


@pytest.mark.backend("numpy", "array_api_strict")
def test_a_learned_state_inside_a_composite(backend: Backend) -> None:
    """Its parameters are not known by the name of the part: a run over one step tells them."""
    inside = memcore.LearnedState(memcore.GRU(4, hidden_size=4))
    model = memcore.ResidualStack(3, model=(inside, memcore.LRU(4)), layers=2)
    check_model(model, backend=backend.name, length=7)
    params = model.init(0)
    params["layer_0"]["model"]["initial"][""][:] = 0.5
    state = memcore.initial_state(model, params, (2,))
    np.testing.assert_array_equal(state["layer_0"]["model"], np.full((2, 4), 0.5, np.float32))
    assert set(model.initial_state(params)) == {"layer_0", "layer_1"}


@pytest.mark.backend("numpy", "array_api_strict")
def test_both_directions_inside_a_composite(backend: Backend) -> None:
    both = memcore.Bidirectional(memcore.GRU(4, hidden_size=3))
    model = memcore.ResidualStack(3, model=both, layers=1, position="learned")
    assert not model.causal
    check_model(model, backend=backend.name, length=7)
    with pytest.raises(ValueError, match="expected a causal one: it needs the whole sequence"):
        memcore.step(model, model.init(0), None, np.zeros(3))
    with pytest.raises(ValueError, match="which works on a grid of 4 steps: expected one without"):
        memcore.Bidirectional(TTT)
    with pytest.raises(TypeError, match="^model is 'gru', expected a memcore.Model"):
        memcore.Bidirectional("gru")  # type: ignore[arg-type]
