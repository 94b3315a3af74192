"""What runs on a GPU or a TPU and not on a CPU: prefix scans with a gradient of their own, and chunks side by
side. Here a CPU is taken for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import optree
import pytest

import memcore
from cases.accelerator import taken_for
from cases.checks import close, drawn, half_or_flag
from cases.models import MODELS, ONE_PER_RULE
from cases.ops import BATCH, OPS, loop
from conftest import Backend
from memcore.engine import at_once
from memcore.engine.call import Call
from memcore.engine.methods import sequential
from memcore.engine.recurrence import job_of
from memcore.ops.matrix.delta_rule import DeltaRule

pytestmark = pytest.mark.backend("jax")

IN_PIECES = [name for name in OPS if name.startswith(("linear_att", "delta", "dplr", "mlstm"))]
BY_PREFIX = [name for name in OPS if name.startswith(("linear_rec", "dense"))]
LENGTH = 17


@pytest.fixture
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of device that this one is taken for."""
    kind = getattr(request, "param", "gpu")
    taken_for(kind, monkeypatch)
    return str(kind)


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """``(length, size)`` of every run that is cut into pieces."""
    found: list[tuple[int, int]] = []
    original = at_once.side_by_side

    def spy(job: Any, size: int, run: Any) -> Any:
        found.append((job.length, size))
        return original(job, size, run)

    monkeypatch.setattr(at_once, "side_by_side", spy)
    return found


@pytest.mark.parametrize("device", ["gpu", "tpu"], indirect=True)
@pytest.mark.parametrize("name", IN_PIECES + BY_PREFIX)
def test_loop(name: str, device: str, cuts: Any, backend: Backend, x64: None) -> None:
    op, arrays, state, initial, starts, valid = drawn(name, LENGTH)
    how = backend.asarray({"starts": starts, "valid": valid, "initial": initial})
    chunk = {"chunk_size": 2} if name in IN_PIECES else {}
    got = op.run(*backend.asarray((arrays, state)), **how, method="fused", **chunk)
    close(got, loop(op, arrays, state, initial, starts, valid))
    assert cuts == ([(LENGTH, 2)] if name in IN_PIECES else [])


@pytest.mark.parametrize("name", IN_PIECES)
def test_pieces_of_several_chunks_without_starts_and_padding(
    name: str, device: str, cuts: Any, backend: Backend, monkeypatch: Any, x64: None
) -> None:
    op, arrays, state, *_ = drawn(name, LENGTH)
    sizes = [leaf.size for leaf in optree.tree_leaves(state)]
    monkeypatch.setattr(at_once, "BUSY", 5 * sum(sizes))
    got = op.run(*backend.asarray((arrays, state)), method="fused", chunk_size=2)
    close(got, loop(op, arrays, state))
    assert cuts == [(LENGTH, 4)]


@pytest.mark.parametrize("name", IN_PIECES + BY_PREFIX)
def test_gradients(name: str, device: str, cuts: Any, backend: Backend, x64: None) -> None:
    """In every array, in the state and in the initial state: those of the fold."""
    import jax
    import jax.numpy as jnp

    op, arrays, state, initial, starts, valid = drawn(name, LENGTH)
    how = backend.asarray({"starts": starts, "valid": valid})
    chunk = {"chunk_size": 3} if name in IN_PIECES else {}

    def loss(arrays: Any, state: Any, initial: Any, method: str) -> Any:
        found = op.run(arrays, state, initial=initial, **how, method=method, **chunk)
        return sum(jnp.sum(jnp.sin(x + i)) for i, x in enumerate(optree.tree_leaves(found)))

    gradient = jax.jit(jax.grad(loss, (0, 1, 2)), static_argnums=3)
    given = backend.asarray((arrays, state, initial))
    close(gradient(*given, "fused"), gradient(*given, "sequential"), 1e-10)
    assert bool(cuts) == (name in IN_PIECES)


@pytest.mark.parametrize("name", BY_PREFIX)
def test_second_derivatives(name: str, device: str, backend: Backend, x64: None) -> None:
    import jax
    import jax.numpy as jnp

    op, arrays, state, _, starts, _ = drawn(name, 5)
    starts = backend.asarray(starts)

    def gradient(arrays: Any, method: str) -> Any:
        def loss(arrays: Any) -> Any:
            found = op.run(arrays, backend.asarray(state), starts=starts, method=method)
            return sum(jnp.sum(jnp.sin(x)) for x in optree.tree_leaves(found))

        return sum(jnp.sum(jnp.cos(x)) for x in optree.tree_leaves(jax.grad(loss)(arrays)))

    second = jax.jit(jax.grad(gradient), static_argnums=1)
    given = backend.asarray(arrays)
    close(second(given, "fused"), second(given, "sequential"), 1e-10)


@pytest.mark.parametrize("name", IN_PIECES + BY_PREFIX)
@pytest.mark.parametrize("bad", [np.inf, np.nan, 3e38])
def test_what_is_not_finite_stays_in_its_segment(
    name: str, bad: float, device: str, backend: Backend
) -> None:
    op, arrays, _, _, _, _ = drawn(name, 24)
    arrays = optree.tree_map(half_or_flag, arrays)
    starts = np.broadcast_to(np.isin(np.arange(24), (9, 18)), (BATCH, 24))
    how = {"starts": backend.asarray(starts), "method": "fused"}
    how |= {"chunk_size": 4} if name in IN_PIECES else {}
    want = op.run(backend.asarray(arrays), None, **how)
    written = next(key for key in arrays if key.startswith("b" if name in BY_PREFIX else "v"))

    def spoiled(step: int) -> Any:
        """The state and the outputs where a step of the first sequence is bad."""
        given = {**arrays, written: np.array(arrays[written])}
        given[written][0, step] = bad
        found = op.run(backend.asarray(given), None, **how)
        return optree.tree_map(np.asarray, found)

    def reached(tree: Any, axes: int) -> Any:
        """Of what the leading axes index: is any number not finite?"""
        flags = [~np.isfinite(x.reshape(*x.shape[:axes], -1)) for x in optree.tree_leaves(tree)]
        return np.any(np.concatenate(flags, axis=-1), axis=-1)

    after, out = spoiled(11)
    close(after, want[0], 1e-5)
    for a, b in zip(optree.tree_leaves(out), optree.tree_leaves(want[1]), strict=True):
        b = np.asarray(b)
        close((a[0, :11], a[0, 18:], a[1]), (b[0, :11], b[0, 18:], b[1]), 1e-5)
    if not np.isfinite(bad):  # up to the next start, in pieces behind its own too
        assert np.all(reached(out, 2)[0, 11:18])
        after, out = spoiled(19)
        assert reached(after, 1).tolist() == [True, False]
        assert np.all(reached(out, 2)[0, 19:]) and not np.any(reached(out, 2)[:, :19])


@pytest.mark.parametrize("name", IN_PIECES)
def test_gradients_behind_a_start_do_not_see_what_was_not_finite(
    name: str, device: str, cuts: Any, backend: Backend
) -> None:
    import jax
    import jax.numpy as jnp

    op, arrays, state, *_ = drawn(name, 24)
    arrays = optree.tree_map(half_or_flag, arrays)
    arrays["v"][0, 4] = np.nan
    starts = backend.asarray(np.broadcast_to(np.arange(24) == 9, (BATCH, 24)))

    def loss(arrays: Any) -> Any:
        out = op.run(arrays, None, starts=starts, method="fused", chunk_size=4)[1]
        return jnp.sum(jnp.sin(out[:, 9:])) + jnp.sum(out[1])

    found = jax.grad(loss)(backend.asarray(arrays))
    assert cuts == [(24, 4)]
    for key, leaf in found.items():
        assert np.all(np.isfinite(np.asarray(leaf)[:, 9:])), key
        assert np.all(np.isfinite(np.asarray(leaf)[1])), key


CELLS = {
    "linear_attention": memcore.LinearAttention(3, heads=2, key_size=4, value_size=3),
    "gated_delta_net": memcore.GatedDeltaNet(4, heads=2),
    "mlstm": memcore.MLSTM(4, heads=2),
}


@pytest.mark.parametrize("name", [*CELLS, *ONE_PER_RULE])
def test_models(name: str, device: str, cuts: Any, backend: Backend, x64: None) -> None:
    """``fused`` gives there what the fold gives, or ``auto`` where there is none of either."""
    model, rng = {**MODELS, **CELLS}[name], np.random.default_rng(0)
    params = backend.asarray(model.init(0, dtype="float64"))
    shape = (BATCH, 21)
    xs = rng.integers(0, model.in_features, shape)
    if model.input_ndim:
        xs = rng.standard_normal((*shape, model.in_features))
    how = {"starts": backend.asarray(rng.random(shape) < 0.1)}
    one = {"method": "fused", "chunk_size": 4} if "fused" in model.methods else {}
    other = {"method": "sequential"} if "sequential" in model.methods else {}
    close(*(model.apply(params, backend.asarray(xs), **how, **way) for way in (one, other)), 1e-9)
    assert cuts == ([(21, 4)] if name in CELLS else cuts)


@dataclass(frozen=True)
class Forgetful(memcore.ops.rule.RuleCell):
    """A delta rule that keeps nine tenths of its transition: a cell with an algebra of its own."""

    @property
    def rule(self) -> DeltaRule:
        return DeltaRule()

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        return {}

    def initial_state(self, params: Any) -> Any:
        return np.zeros((1, self.in_features, self.in_features))

    def embed(self, params: Any, x: Any) -> Any:
        one = x[..., None, :]
        return {"q": one, "k": one / 2, "v": one, "beta": one[..., 0] * 0 + 0.5}

    def lift(self, params: Any, inputs: Any) -> Any:
        kept, written = self.rule.lift(inputs)
        return 0.9 * kept, written

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        return self.rule.act(state, self.lift(params, inputs))

    def fused(self, params: Any, state: Any, inputs: Any, starts: Any, **how: Any) -> Any:
        call = Call(starts, how["valid"])
        return sequential(job_of(self, params, inputs, state, call, how["initial"]))

    def output(self, params: Any, read: Any, inputs: Any) -> Any:
        return read[..., 0, :]


class Plain(memcore.Cell):
    """A cell that is no memoroid, and has a fused form under a rule's name."""

    rule_name = "delta_rule"
    methods = ("sequential", "fused")

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        return {}

    def initial_state(self, params: Any) -> Any:
        return np.zeros(self.in_features)

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        return 0.5 * state + inputs

    def read(self, params: Any, state: Any, inputs: Any) -> Any:
        return state

    def fused(self, params: Any, state: Any, inputs: Any, starts: Any, **how: Any) -> Any:
        call = Call(starts, how["valid"])
        return sequential(job_of(self, params, inputs, state, call, how["initial"]))


@pytest.mark.parametrize(("cell", "cut"), [(Forgetful(3), [(21, 4)]), (Plain(3), [])])
def test_cells_of_users(cell: Any, cut: Any, device: str, cuts: Any, backend: Backend) -> None:
    rng = np.random.default_rng(0)
    xs = backend.asarray(rng.standard_normal((BATCH, 21, 3)).astype("float32"))
    starts = backend.asarray(rng.random((BATCH, 21)) < 0.1)
    got = cell.apply({}, xs, starts=starts, method="fused", chunk_size=4)
    close(got, cell.apply({}, xs, starts=starts, method="sequential"), 1e-5)
    assert cuts == cut


def test_large_dense_transitions_are_folded(device: str, monkeypatch: Any) -> None:
    import jax.numpy as jnp

    from memcore.ops.linear import _jax

    scans: list[int] = []
    original = _jax._scan
    monkeypatch.setattr(_jax, "_scan", lambda *a, **k: scans.append(1) or original(*a, **k))
    for length, constant, ran in ((5, False, 1), (6, False, 0), (10, True, 1), (11, True, 0)):
        scans.clear()
        monkeypatch.setattr(_jax, "MOST", 90)
        a = jnp.ones((3, 3) if constant else (2, length, 3, 3)) / 4
        memcore.ops.dense_recurrence(a, jnp.ones((2, length, 3)), method="fused")
        assert len(scans) == ran, (length, constant)


@pytest.mark.parametrize(
    ("states", "cut"), [(3, []), (4, [(40, 12)]), (9, [(40, 8)]), (20, [(40, 4)]), (0, [])]
)
def test_few_pieces_are_not_worth_it(
    states: int, cut: list[Any], device: str, cuts: Any, monkeypatch: Any
) -> None:
    """``BUSY`` has room for so many states: too few, some of several chunks, one for every chunk."""
    import jax.numpy as jnp

    x, beta = jnp.ones((2, 40, 1, 4)), jnp.ones((2, 40, 1))
    monkeypatch.setattr(at_once, "BUSY", states * 2 * 4 * 4 + 31)
    memcore.ops.delta_rule(x, x, x, beta, method="fused", chunk_size=4)
    assert cuts == cut


def test_one_after_the_other_on_a_cpu(cuts: Any) -> None:
    import jax.numpy as jnp

    x = jnp.ones((2, 41, 1, 4))
    memcore.ops.delta_rule(x, x, x, jnp.ones((2, 41, 1)), method="fused", chunk_size=4)
    assert cuts == []
