"""Newton's method with time on several devices: the numbers, states and gradients of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import memcore
from cases.maps import Map
from devices.test_parallel import check, sent, split
from memcore import parallel
from placements import agree

pytestmark = [pytest.mark.backend("jax"), pytest.mark.devices(4)]


@pytest.mark.parametrize("name", ["gru", "lstm", "stack"])
def test_pieces_are_the_whole(name: str, backend: Any, x64: None) -> None:
    """A stack has parts that are associative too, and run as they do without Newton's method."""
    check(name, 4 * 5, valid=True, method="newton")


@pytest.mark.devices(8)
def test_on_eight_devices_pieces_of_one_step(backend: Any, x64: None) -> None:
    check("gru", 8, valid=True, devices=8, method="newton")


@pytest.mark.devices(8)
def test_groups_of_devices_end_together(backend: Any) -> None:
    """A row of zeros is solved at once, the other is not: their devices wait for each other."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import AxisType
    from jax.sharding import PartitionSpec as P

    model = memcore.GRU(4, hidden_size=4)
    params = jax.tree.map(lambda x: 4 * jnp.asarray(x), model.init(0))
    xs = np.random.default_rng(0).normal(size=(2, 80, 4)).astype("float32")
    xs[0] = 0

    def piece(params: Any, xs: Any) -> Any:
        def loss(params: Any) -> Any:
            _, ys = parallel.apply(model, params, xs, axis_name="time", method="newton")
            return jax.lax.psum(jnp.sum(jnp.sin(ys)), ("data", "time")), ys

        return jax.grad(loss, has_aux=True)(params)

    def whole(params: Any) -> Any:
        _, ys = model.apply(params, jnp.asarray(xs), method="sequential")
        return jnp.sum(jnp.sin(ys)), ys

    mesh = jax.make_mesh((2, 4), ("data", "time"), axis_types=(AxisType.Auto,) * 2)
    pieces = P("data", "time")
    specs = {"in_specs": (P(), pieces), "out_specs": (P(), pieces)}
    got = jax.jit(jax.shard_map(piece, mesh=mesh, **specs))(params, jnp.asarray(xs))
    agree(got, jax.jit(jax.grad(whole, has_aux=True))(params), "two groups", tolerance=1e-4)


@dataclass(frozen=True)
class Before(Map):
    """What is read is the state before."""

    reads_previous: ClassVar[bool] = True


@pytest.mark.parametrize(
    ("name", "size", "steps", "limits"),
    [
        ("cubic", 2, 24, {"ITERATIONS": 1}),  # too few: the fold runs by pieces
        ("logistic", 3, 200, {}),  # solved by damped corrections
        ("mixed", 5, 24, {"DENSE": 2}),  # a diagonal of Jacobians is all that is kept
    ],
    ids=["folded", "damped", "diagonal"],
)
def test_what_is_damped_diagonal_or_folded(
    name: str, size: int, steps: int, limits: Any, backend: Any, x64: None, monkeypatch: Any
) -> None:
    """Against the fold of one device: outputs, state, and the gradients of inputs and state."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    for limit, number in limits.items():
        monkeypatch.setattr(f"memcore.backend.jax_newton.{limit}", number)
    model, rng = Before(size, name), np.random.default_rng(0)
    xs = jnp.asarray(0.01 * rng.standard_normal((2, steps, size)) * (1 + 20 * (name == "mixed")))
    state = jnp.asarray(rng.uniform(0.2, 0.4, (2, size)))
    starts = jnp.asarray(np.arange(steps)[None] == np.array([[steps - 9], [steps // 2]]))

    def whole(xs: Any, state: Any) -> Any:
        after, ys = model.apply({}, xs, state, starts=starts, method="sequential")
        return jnp.sum(jnp.sin(ys[:, -20:])), (after, ys)

    def piece(params: Any, xs: Any, state: Any, starts: Any, last: Any) -> Any:
        def loss(xs: Any, state: Any) -> Any:
            how = {"starts": starts, "method": "newton", "axis_name": "time"}
            after, ys = parallel.apply(model, params, xs, state, **how)
            asked = jnp.where(last[..., None], jnp.sin(ys), 0)
            return jax.lax.psum(jnp.sum(asked), "time"), (after, ys)

        return jax.value_and_grad(loss, (0, 1), has_aux=True)(xs, state)

    want = jax.jit(jax.value_and_grad(whole, (0, 1), has_aux=True))(xs, state)
    last = jnp.broadcast_to(jnp.arange(steps) >= steps - 20, (2, steps))
    time = P(None, "time")
    outs = ((P(), (P(), time)), (time, P()))
    got = split(piece, outs, True)({}, xs, state, starts, last)
    agree(got, want, name, tolerance=1e-8)


def test_what_is_sent_in_an_iteration_does_not_grow_with_the_length(backend: Any) -> None:
    model = memcore.GRU(3, hidden_size=4)
    short, long = (sent(model, 4 * steps, method="newton") for steps in (16, 48))
    assert short and short == long


@dataclass(frozen=True)
class Counts(Map):
    """A state with a count in it, which has no derivative."""

    def initial_state(self, params: Any) -> Any:
        return {"h": np.zeros(self.in_features), "n": np.zeros((), np.int32)}

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        return {"h": state["h"] + inputs, "n": state["n"] + 1}

    def read(self, params: Any, state: Any, inputs: Any) -> Any:
        return state["h"]


def test_what_newton_cannot_do_is_named(backend: Any) -> None:
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    def run(model: memcore.Model, method: Any = "newton") -> None:
        def piece(params: Any, xs: Any, state: Any, starts: Any, valid: Any) -> Any:
            return parallel.apply(model, params, xs, method=method, axis_name="time")

        args = ({}, jnp.zeros((2, 4, 4)), None, None, None)
        split(piece, (P(), P(None, "time")), False)(*args)

    with pytest.raises(ValueError, match="expected a state of floating point numbers"):
        run(Counts(4))
    with pytest.raises(ValueError, match="method is 'newton', expected one of"):
        run(memcore.LRU(4))
    for wrong in ("newtn", None):  # what is no method at all is said before what it cannot do
        with pytest.raises(ValueError, match=f"method is {wrong!r}, expected one of .*newton"):
            run(memcore.GRU(4), wrong)
    with pytest.raises(
        ValueError, match="'layer_1/window_attention', whose pieces .* with a window"
    ):
        full = memcore.Attention(4, heads=1, window=None, capacity=8)
        run(memcore.Stack((memcore.GRU(4, hidden_size=4), full)))
