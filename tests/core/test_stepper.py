"""A step on NumPy is checked once: what is replaced, or of another kind, is noticed all the same."""

from __future__ import annotations

import importlib
import threading
from typing import Any

import numpy as np
import optree
import pytest

import memcore
from cases.checks import close
from conftest import Backend
from memcore.engine import stepper

pytestmark = pytest.mark.backend("numpy")

MODELS: dict[str, memcore.Model] = {
    "gru": memcore.GRU(3, hidden_size=4),
    "gated_delta_net": memcore.GatedDeltaNet(4, heads=2),
    "stack": memcore.ResidualStack(3, model=memcore.GRU(4, hidden_size=6), layers=2),
    "tokens": memcore.ResidualStack(
        5, model=memcore.LRU(4), layers=1, tokens=True, position="learned"
    ),
    "learned_state": memcore.compose.LearnedState(memcore.GRU(3, hidden_size=4)),
    "grid": memcore.TTTLinear(4, heads=2, mini_batch=2),
}


def problem(name: str, batch: tuple[int, ...] = (2,)) -> tuple[Any, ...]:
    """A model, its parameters, a state in which something stands, and an ``x``."""
    model, rng = MODELS[name], np.random.default_rng(0)
    params = model.init(0)
    if model.input_ndim:
        xs = rng.standard_normal((*batch, 6, model.in_features)).astype(np.float32)
    else:
        xs = rng.integers(0, model.in_features, (*batch, 6)).astype(np.int32)
    front = (slice(None),) * len(batch)
    state, _ = model.apply(params, xs[(*front, slice(0, 5))])
    return model, params, state, xs[(*front, 5)]


def seen(name: str, batch: tuple[int, ...] = (2,)) -> tuple[Any, ...]:
    """The same, after a step of that kind."""
    model, params, state, x = problem(name, batch)
    memcore.step(model, params, state, x)
    return model, params, state, x


def as_a_run(model: Any, params: Any, state: Any, x: Any, start: Any = None) -> Any:
    """``(state, y)`` of `apply` over one step, which looks at everything."""
    axis = np.ndim(x) - model.input_ndim
    starts = None if start is None else np.broadcast_to(start, np.shape(x)[:axis])[..., None]
    state, ys = model.apply(params, np.expand_dims(x, axis), state, starts=starts)
    return state, np.asarray(ys)[(slice(None),) * axis + (0, ...)]


def is_planned(run: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a run goes to the model at once, instead of the way that looks at everything."""
    ways = []
    with monkeypatch.context() as patch:
        module = importlib.import_module("memcore.engine.step")
        patch.setattr(module, "compiled", lambda *args: ways.append(args))
        run()
    return not ways


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_a_known_kind_is_that_of_a_run(
    name: str, batch: tuple[int, ...], backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, params, state, x = seen(name, batch)
    state, _ = memcore.step(model, params, state, x)
    assert is_planned(lambda: memcore.step(model, params, state, x), monkeypatch)
    some = np.arange(np.prod(batch, dtype=int)).reshape(batch) % 2 == 0
    for start in (None, True, False, 1, some, some.tolist(), np.float32(some)):
        got = memcore.step(model, params, state, x, start=start)
        close(got, as_a_run(model, params, state, x, start), 0)


@pytest.mark.parametrize("name", MODELS)
def test_results_are_arrays_of_their_own(name: str, backend: Backend) -> None:
    model, params, state, x = seen(name)
    given = optree.tree_leaves((params, state, x))
    after, y = memcore.step(model, params, state, x)
    for leaf in [*optree.tree_leaves(after), y]:
        assert type(leaf) is np.ndarray and leaf.flags.writeable
        assert not any(np.shares_memory(leaf, other) for other in given)


@pytest.mark.parametrize("name", MODELS)
def test_a_replaced_leaf_is_noticed(name: str, backend: Backend) -> None:
    """By another array of its kind, which counts; and by what does not fit, which raises."""
    model, params, state, x = seen(name)
    paths, _, _ = optree.tree_flatten_with_path(params)
    for path in paths:
        changed = optree.tree_map(lambda leaf: leaf, params)
        room = changed
        for key in path[:-1]:
            room = room[key]
        leaf = room[path[-1]]
        room[path[-1]] = leaf + 1
        close(memcore.step(model, changed, state, x), as_a_run(model, changed, state, x), 0)
        name_ = repr("/".join(path))
        for wrong, error, message in (
            (leaf[..., None], ValueError, f"params has the leaf {name_} of shape"),
            (np.ones(leaf.shape, int), TypeError, f"params has the leaf {name_} of int"),
            (np.ma.masked_array(leaf), TypeError, f"params has the leaf {name_}, which is masked"),
        ):
            room[path[-1]] = wrong
            with pytest.raises(error, match=message):
                memcore.step(model, changed, state, x)
        del room[path[-1]]
        with pytest.raises(ValueError, match=f"params lacks the leaf {name_}"):
            memcore.step(model, changed, state, x)
        room[path[-1]], room["more"] = leaf, leaf
        with pytest.raises(ValueError, match=r"params has the leaf '.*more', which"):
            memcore.step(model, changed, state, x)
        del room["more"]
        close(memcore.step(model, changed, state, x), memcore.step(model, params, state, x), 0)


def test_leaves_that_changed_places_are_noticed(backend: Backend) -> None:
    model = memcore.GRU(4, hidden_size=4)
    params, x = model.init(0), np.ones(4, np.float32)
    state = memcore.initial_state(model, params) + 1
    memcore.step(model, params, state, x)
    params["input"], params["hidden"] = params["hidden"], params["input"]
    close(memcore.step(model, params, state, x), as_a_run(model, params, state, x), 0)


def test_an_edit_in_place_counts(backend: Backend) -> None:
    model, params, state, x = seen("gated_delta_net")
    for leaf in optree.tree_leaves(params):
        leaf += 0.5
        close(memcore.step(model, params, state, x), as_a_run(model, params, state, x), 0)


def test_parameters_are_not_kept_alive(backend: Backend) -> None:
    """And an array in the place of one that is gone is another one, wherever it lies."""
    model, params, state, x = seen("gru")
    plan = stepper._PLANS[model, x.shape, x.dtype]
    kept = optree.tree_leaves(plan.seen)
    assert all(ref() is x for ref, x in zip(kept, optree.tree_leaves(params), strict=True))
    del params
    assert all(ref() is None for ref in kept)


@pytest.mark.parametrize("name", MODELS)
def test_another_kind_of_x_is_noticed(name: str, backend: Backend) -> None:
    model, params, state, x = seen(name)
    one = optree.tree_map(lambda leaf: leaf[:1], state)
    close(memcore.step(model, params, one, x[:1]), as_a_run(model, params, one, x[:1]), 0)
    others = [x.astype(">i4"), x.astype(np.int64)] if x.dtype.kind == "i" else [x.astype(float)]
    for other in (*others, x.tolist(), x[::-1], np.asfortranarray(x)):
        for _ in range(2):
            got = memcore.step(model, params, state, other)
            close(got, as_a_run(model, params, state, np.asarray(other)), 0)
            assert got[1].dtype == as_a_run(model, params, state, np.asarray(other))[1].dtype
    if model.input_ndim:
        with pytest.raises(ValueError, match=r"x has shape \(2, 7\), expected"):
            memcore.step(model, params, state, np.ones((2, 7), np.float32))
        with pytest.raises(TypeError, match="x has dtype int64"):
            memcore.step(model, params, state, np.ones(x.shape, np.int64))
    else:
        with pytest.raises(ValueError, match="tokens outside of 0 to 4"):
            memcore.step(model, params, state, x + 5)
    with pytest.raises(ValueError, match=r"start has shape \(3,\), expected \(2,\)"):
        memcore.step(model, params, state, x, start=[True, False, True])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "tokens"])
def test_what_is_not_finite_stays_in_its_row(name: str, bad: float, backend: Backend) -> None:
    model, params, state, x = seen(name)
    wrong = np.array(x)
    wrong[0, 1] = bad
    got = memcore.step(model, params, state, wrong)
    close(got, as_a_run(model, params, state, wrong), 0)
    assert np.isnan(got[1][0]).all() and np.isfinite(got[1][1]).all()
    spoiled = optree.tree_map(lambda s: np.full_like(s, bad) if s.dtype.kind == "f" else s, state)
    for start in (None, [True, False]):
        got = memcore.step(model, params, spoiled, x, start=start)
        close(got, as_a_run(model, params, spoiled, x, start), 0)
        assert np.isfinite(got[1]).all(axis=-1).tolist() == [start is not None, False]


def test_another_state_is_noticed(backend: Backend) -> None:
    model, params, state, x = seen("stack")
    for other in (
        None,
        optree.tree_map(lambda leaf: leaf[0], state),
        optree.tree_map(lambda leaf: leaf.astype(float), state),
    ):
        got = memcore.step(model, params, other, x)
        close(got, as_a_run(model, params, other, x), 0)
        assert all(leaf.dtype == np.float32 for leaf in optree.tree_leaves(got))
    with pytest.raises(ValueError, match=r"state/layer_0 has shape \(2, 5\), expected \(2, 6\)"):
        memcore.step(model, params, {**state, "layer_0": state["layer_0"][:, :5]}, x)
    with pytest.raises(TypeError, match="state/layer_1 has dtype int64"):
        memcore.step(model, params, {**state, "layer_1": np.ones((2, 6), int)}, x)
    with pytest.raises(ValueError, match="state has the structure"):
        memcore.step(model, params, {"layer_0": state["layer_0"]}, x)


def test_rows_in_different_phases_are_refused(backend: Backend) -> None:
    model, params, state, x = seen("grid")
    for phase, message in (([0, 1], "expected one number"), ([7, 7], "expected 0 to 1")):
        with pytest.raises(ValueError, match=message):
            memcore.step(model, params, {**state, "phase": np.array(phase, np.int32)}, x)


def test_plans_are_bounded(backend: Backend) -> None:
    for width in range(1, stepper.MOST + 2):
        model = memcore.Elman(1, hidden_size=width)
        params = model.init(0)
        memcore.step(model, params, memcore.initial_state(model, params), np.ones(1, np.float32))
    assert 0 < len(stepper._PLANS) <= stepper.MOST


def test_threads_step_side_by_side(backend: Backend) -> None:
    """One model, parameters of each thread's own."""
    model, _, state, x = seen("stack")
    every = [model.init(seed) for seed in range(4)]
    want = []
    for params in every:
        h = state
        for _ in range(50):
            h, y = as_a_run(model, params, h, x)
        want.append((h, y))
    got: list[Any] = [None] * len(every)

    def run(i: int) -> None:
        h = state
        for _ in range(50):
            h, y = memcore.step(model, every[i], h, x)
        got[i] = (h, y)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(every))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(got, want, strict=True):
        close(a, b, 0)
