"""Gradients of a `GatedCell` on JAX: those of the plain fold, whatever a cell of a user gives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import memcore
from cases.checks import close
from conftest import Backend
from memcore.backend import FEWEST_STEPS
from memcore.engine.gated import FEWEST_ROWS

PROJECTIONS: dict[str, tuple[Any, bool]] = {
    "product": (lambda p, h, u: h @ p["kernel"], True),
    "of a part": (lambda p, h, u: (h * p["bias"]) @ p["kernel"], True),
    "and a bias": (lambda p, h, u: (h @ p["kernel"], p["bias"]), False),
    "of parameters": (lambda p, h, u: h * (p["kernel"] @ p["bias"]), False),
    "elementwise": (lambda p, h, u: h * p["bias"], False),
    "reads inputs": (lambda p, h, u: (h * u["x"]) @ p["kernel"], False),
    "reads a mask": (lambda p, h, u: kept_where(u["mask"], h) @ p["kernel"], True),
    "reads what is still": (lambda p, h, u: (h * u["still"]) @ p["kernel"], True),
    "without a state": (lambda p, h, u: p["bias"] * 2, False),
}
"""What a cell of a user may give, and whether its gradient is one of its own."""


def kept_where(mask: Any, h: Any) -> Any:
    import jax.numpy as jnp

    return jnp.where(mask, h, 0)


@dataclass(frozen=True)
class Yours(memcore.GatedCell):
    """One of `PROJECTIONS`."""

    projection: str = "product"

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        rng = np.random.default_rng(0)
        n = self.in_features
        shapes = {"kernel": (n, n), "bias": (n,)}
        return {name: 0.5 * rng.standard_normal(s).astype(dtype) for name, s in shapes.items()}

    def initial_state(self, params: Any) -> Any:
        return np.zeros(self.in_features)

    def embed(self, params: Any, x: Any) -> Any:
        return {"x": x, "mask": x > 0, "still": x[..., :1, :] * 0 + 2 * params["bias"]}

    def project(self, params: Any, state: Any, inputs: Any) -> Any:
        return PROJECTIONS[self.projection][0](params, state, inputs)

    def update(self, state: Any, inputs: Any, projected: Any) -> Any:
        import jax.numpy as jnp

        sum_of = sum(projected) if isinstance(projected, tuple) else projected
        return jnp.tanh(inputs["x"] + sum_of) * inputs["still"]


@pytest.mark.backend("jax")
@pytest.mark.parametrize("batch", [(), (2,), (3, 2)])
@pytest.mark.parametrize("name", PROJECTIONS)
def test_gradients_of_cells_of_yours(
    name: str, batch: tuple[int, ...], backend: Backend, x64: None
) -> None:
    """Those of the plain fold, with starts and padding, whatever `project` gives."""
    import jax

    model, rng = Yours(3, projection=name), np.random.default_rng(0)
    xs = rng.standard_normal((*batch, 6, 3))
    flags = {"starts": rng.random(xs.shape[:-1]) < 0.3, "valid": rng.random(xs.shape[:-1]) < 0.7}
    params, xs, flags = backend.asarray((model.init(0, "float64"), xs, flags))

    def loss(params: Any, xs: Any, method: str) -> Any:
        return jax.numpy.sum(model.apply(params, xs, **flags, method=method)[1] ** 2)

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    got, want = (gradient(params, xs, method) for method in ("fused", "sequential"))
    close(got, want, 1e-10)
    assert ("custom_vjp" in str(jax.make_jaxpr(loss, 2)(params, xs, "fused"))) == PROJECTIONS[name][
        1
    ]


CELLS = {"gru": memcore.GRU, "lstm": memcore.LSTM, "elman": memcore.Elman}


def numbers(model: Any, batch: tuple[int, ...], length: int, backend: Backend) -> Any:
    """``(params, xs, flags)`` in float64, with starts and padding."""
    rng = np.random.default_rng(0)
    xs = rng.standard_normal((*batch, length, 3))
    flags = {"starts": rng.random(xs.shape[:-1]) < 0.3, "valid": rng.random(xs.shape[:-1]) < 0.7}
    return backend.asarray((model.init(0, "float64"), xs, flags))


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    ("batch", "length", "steps"), [((), 19, 8), ((2,), 16, 8), ((2, 2), 7, 7), ((0,), 3, 3)]
)
@pytest.mark.parametrize("name", CELLS)
def test_gradients_where_the_fold_embeds(
    name: str,
    batch: tuple[int, ...],
    length: int,
    steps: int,
    backend: Backend,
    x64: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of the plain fold, where a chunk embeds some steps and the last one fewer; second ones too."""
    import jax

    from memcore.backend import jax_adjoint
    from memcore.backend.jax_folds import fold_of_chunks

    model = CELLS[name](3, hidden_size=5)
    width = 5 * {"elman": 1, "lstm": 4}.get(name, 3)
    size = FEWEST_STEPS * max(1, int(np.prod(batch))) * width * 8
    monkeypatch.setattr("memcore.engine.gated.EMBEDDED_BYTES", size)
    asked: list[int] = []

    def spied(make: Any, body: Any, *args: Any) -> Any:
        asked.append(min(args[-1], length))
        return fold_of_chunks(make, body, *args)

    monkeypatch.setattr(jax_adjoint, "fold_of_chunks", spied)
    params, xs, flags = numbers(model, batch, length, backend)

    def loss(params: Any, xs: Any, method: str) -> Any:
        return jax.numpy.sum(model.apply(params, xs, **flags, method=method)[1] ** 2)

    def of_it(xs: Any, method: str) -> Any:
        return jax.numpy.sum(jax.grad(loss, 1)(params, xs, method) ** 3)

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    got, want = (gradient(params, xs, method) for method in ("fused", "sequential"))
    close(got, want, 1e-10)
    # A run without a gradient is traced as well: the LSTM's has one product for both. Of GRU's update more is
    # kept than a sum.
    without = [] if name == "lstm" and np.prod(batch) >= FEWEST_ROWS else [steps]
    assert asked == without + ([] if name == "gru" else [steps])
    second = jax.jit(jax.grad(of_it), static_argnums=1)
    got, want = (second(xs, method) for method in ("fused", "sequential"))
    close(got, want, 1e-10)
    if length < 10:
        forward = jax.jit(jax.jacfwd(jax.grad(loss, 1), 1), static_argnums=2)
        got, want = (forward(params, xs, method) for method in ("fused", "sequential"))
        close(got, want, 1e-10)


UPDATES: dict[str, tuple[Any, bool]] = {
    "sum": (lambda h, x, z: tanh(x + z), True),
    "sum, the other way": (lambda h, x, z: h + tanh(z + x), True),
    "sum twice": (lambda h, x, z: tanh(x + z) * (x + z), False),
    "difference": (lambda h, x, z: tanh(x - z), False),
    "x elsewhere too": (lambda h, x, z: tanh(x + z) * x, False),
    "z elsewhere too": (lambda h, x, z: tanh(x + z) * z, False),
    "x twice": (lambda h, x, z: tanh(x + x) * z, False),
    "x alone": (lambda h, x, z: tanh(x), False),
    "scaled": (lambda h, x, z: tanh(x + 2 * z), False),
}
"""What an update may do with its inputs, and whether it reads their sum alone."""


def tanh(x: Any) -> Any:
    import jax.numpy as jnp

    return jnp.tanh(x)


@dataclass(frozen=True)
class YourUpdate(Yours):
    """One of `UPDATES`."""

    how: str = "sum"

    def embed(self, params: Any, x: Any) -> Any:
        return x * params["bias"]

    def update(self, state: Any, inputs: Any, projected: Any) -> Any:
        return UPDATES[self.how][0](state, inputs, projected)


@dataclass(frozen=True)
class OneInput(YourUpdate):
    """A number that is added to each entry of the projection."""

    def embed(self, params: Any, x: Any) -> Any:
        return x[..., :1]


@dataclass(frozen=True)
class OneProjected(YourUpdate):
    """A projection that is added to each entry of the inputs."""

    def project(self, params: Any, state: Any, inputs: Any) -> Any:
        return state @ params["kernel"][:, :1]


@pytest.mark.backend("jax")
@pytest.mark.parametrize("kind", [OneInput, OneProjected])
def test_a_sum_that_repeats_one_side_is_not_what_is_kept(
    kind: Any, backend: Backend, x64: None
) -> None:
    """Its gradient is summed over the repetitions."""
    import jax

    model = kind(3)
    params, xs, flags = numbers(model, (2,), 9, backend)

    def loss(params: Any, xs: Any, method: str) -> Any:
        return jax.numpy.sum(model.apply(params, xs, **flags, method=method)[1] ** 2)

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    got, want = (gradient(params, xs, method) for method in ("fused", "sequential"))
    close(got, want, 1e-10)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("how", UPDATES)
def test_a_sum_alone_is_kept(
    how: str, backend: Backend, x64: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the update reads nothing else of both; the gradients are those of the plain fold everywhere."""
    import jax

    from memcore.backend import jax_adjoint

    model, found = YourUpdate(3, how=how), []
    params, xs, flags = numbers(model, (2,), 9, backend)
    adds = jax_adjoint._adds

    def spied(*args: Any) -> bool:
        found.append(adds(*args))
        return found[-1]

    monkeypatch.setattr(jax_adjoint, "_adds", spied)

    def loss(params: Any, xs: Any, method: str) -> Any:
        return jax.numpy.sum(model.apply(params, xs, **flags, method=method)[1] ** 2)

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    got, want = (gradient(params, xs, method) for method in ("fused", "sequential"))
    close(got, want, 1e-10)
    assert found == [UPDATES[how][1]]


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", CELLS)
def test_second_derivatives_whatever_ranks_may_meet(
    name: str, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`jax_numpy_rank_promotion` is for the code of whoever sets it."""
    import jax

    model = CELLS[name](3, hidden_size=6)
    params, xs = backend.asarray((model.init(0), np.ones((2, 5, 3), np.float32)))

    def loss(xs: Any) -> Any:
        return jax.numpy.sum(model.apply(params, xs, method="fused")[1] ** 2)

    with jax.numpy_rank_promotion("raise"):
        for x in (xs, xs[0]):
            assert np.isfinite(jax.jacfwd(jax.grad(loss))(x)).all()
            assert np.isfinite(jax.grad(lambda x: jax.numpy.sum(jax.grad(loss)(x) ** 2))(x)).all()


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", CELLS)
def test_a_batch_under_vmap_is_read_by_slices(name: str, backend: Backend) -> None:
    """One number of step for all sequences: no gather, of a run or of its gradient."""
    import jax

    model = CELLS[name](3, hidden_size=4)
    params, xs = backend.asarray((model.init(0), np.ones((2, 5, 3), np.float32)))

    def run(x: Any) -> Any:
        return model.apply(params, x)[1]

    def loss(x: Any) -> Any:
        return jax.numpy.sum(run(x) ** 2)

    for f in (run, jax.grad(loss)):
        assert " gather(" not in jax.jit(jax.vmap(f)).lower(xs).compile().as_text()


@pytest.mark.backend("jax")
@pytest.mark.parametrize("batch", [(), (1,), (2,)])
@pytest.mark.parametrize("width", [8, 32, 64])
@pytest.mark.parametrize("name", CELLS)
def test_no_step_of_a_gradient_copies_all_steps(
    name: str, width: int, batch: tuple[int, ...], backend: Backend
) -> None:
    """XLA does where a step is read after it was written over: time is quadratic in the length then."""
    import jax

    model, length = CELLS[name](3, hidden_size=width), 97
    params, xs = backend.asarray((model.init(0), np.ones((*batch, length, 3), np.float32)))

    def loss(params: Any, xs: Any) -> Any:
        return jax.numpy.sum(model.apply(params, xs)[1] ** 2)

    text = jax.jit(jax.grad(loss)).lower(params, xs).compile().as_text()
    bodies = set(re.findall(r"body=(%[\w.\-]+)", text))
    assert bodies
    for body in bodies:
        begin = text.index(f"\n{body} (")
        inside = text[begin : text.index("\n}", begin)]
        assert not re.search(rf"= f32\[[\d,]*\b{length}\b[\d,]*\]\S* copy\(", inside)
