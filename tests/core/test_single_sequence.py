"""A single sequence on JAX's CPU: it runs without its batch axes, and has them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import optree
import pytest

import memcore
from cases.checks import close
from conftest import Backend
from memcore.engine import run

MODELS = {
    "gru": memcore.GRU(3, hidden_size=4, recurrent_dropout=0.5),
    "s6": memcore.S6(3, state_size=2),
    "ttt": memcore.TTTLinear(8, heads=2, mini_batch=4),
    "stack": memcore.ResidualStack(4, memcore.Attention(4, heads=2, window=3), layers=2),
}


@pytest.mark.backend("jax")
@pytest.mark.parametrize("batch", [(1,), (1, 1), (1, 2), ()])
@pytest.mark.parametrize("name", MODELS)
def test_a_single_sequence_is_one_of_a_batch(
    name: str, batch: tuple[int, ...], backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs, states on the way and the last state are those of NumPy, where nothing is taken away."""
    seen: list[int] = []
    contained = run._contained

    def spied(model: Any, params: Any, xs: Any, *rest: Any) -> Any:
        seen.append(xs.ndim)
        return contained(model, params, xs, *rest)

    monkeypatch.setattr(run, "_contained", spied)
    model, rng = MODELS[name], np.random.default_rng(0)
    params = model.init(0)
    xs = rng.standard_normal((*batch, 10, model.in_features)).astype(np.float32)
    flags = {"starts": rng.random(xs.shape[:-1]) < 0.3, "valid": rng.random(xs.shape[:-1]) < 0.7}
    state, _ = memcore.scan(model, params, xs)
    for given, how in ((None, {}), (state, flags), (state, {**flags, "return_states": 2})):
        want = memcore.scan(model, params, xs, given, **how)
        assert want[1].shape[:-2] == batch
        seen.clear()
        ours = backend.asarray((params, xs, given, {k: how[k] for k in flags if k in how}))
        got = memcore.scan(model, *ours[:3], **{**how, **ours[3]})
        close(got, want, 1e-5)
        shapes = [[np.shape(leaf) for leaf in optree.tree_leaves(x)] for x in (got, want)]
        assert shapes[0] == shapes[1]
        assert set(seen) == {2 if set(batch) <= {1} else xs.ndim}


@dataclass(frozen=True)
class Whole(memcore.GRU):
    """A cell whose programs are its own."""


@pytest.mark.backend("jax")
def test_a_single_sequence_drops_what_one_of_a_batch_would(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The masks of a key are those of the run that keeps its batch axis."""
    import jax

    key, rng = jax.random.key(1), np.random.default_rng(0)
    xs = backend.asarray(rng.standard_normal((1, 6, 3)).astype(np.float32))
    models = [kind(3, hidden_size=4, recurrent_dropout=0.5) for kind in (memcore.GRU, Whole)]
    params = backend.asarray(models[0].init(0))
    got = models[0].apply(params, xs, key=key)
    monkeypatch.setattr(run, "without_batch", lambda contained, *args: contained(*args))
    close(got, models[1].apply(params, xs, key=key), 1e-6)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["gru", "s6"])
def test_a_batch_on_a_mesh_axis_of_length_1_stays_there(name: str, backend: Backend) -> None:
    """Else a state would not fit where it came from, and a gradient not its argument."""
    import jax
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    model = MODELS[name]
    mesh = jax.make_mesh((1,), ("d",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        params, xs = backend.asarray((model.init(0), np.ones((1, 5, 3), np.float32)))
        xs = jax.device_put(xs, NamedSharding(mesh, PartitionSpec("d")))
        state, ys = model.apply(params, xs)

        def again(state: Any, _: Any) -> Any:
            return model.apply(params, xs, state)[0], None

        jax.lax.scan(again, state, None, length=2)
        by_fold = {"method": "sequential"}
        gradient = jax.grad(lambda x: jax.numpy.sum(model.apply(params, x, **by_fold)[1]))(xs)
    for x in (ys, gradient, *jax.tree.leaves(state)):
        assert jax.typeof(x).sharding.spec[0] == "d"
