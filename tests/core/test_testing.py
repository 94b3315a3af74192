"""check_model catches broken models: for each law, one that it alone is asked to catch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import memcore
from cases.models.diagonal.lru import lru
from conftest import Backend
from memcore.backend import is_jax, namespace
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.rule import RuleCell
from memcore.testing import LAWS, check_model
from memcore.testing.case import CounterExample


@dataclass(frozen=True)
class Sum(memcore.Memoroid):
    """``h' = a h + x``, as a user writes it; every law holds."""

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        return {"a": memcore.as_draw(key, dtype).uniform("a", (self.in_features,), 0.3, 0.7)}

    def initial_state(self, params: Any) -> Any:
        return np.zeros(self.in_features)

    def embed(self, params: Any, x: Any) -> Any:
        xp = namespace(x)
        return xp.broadcast_to(xp.astype(params["a"], x.dtype, copy=False), x.shape), x

    def lift(self, params: Any, inputs: Any) -> Any:
        return inputs

    def binary_op(self, params: Any, a: Any, b: Any) -> Any:
        return b[0] * a[0], b[0] * a[1] + b[1]

    def act(self, params: Any, state: Any, element: Any) -> Any:
        return element[0] * state + element[1]


@dataclass(frozen=True)
class NotAssociative(Sum):
    """Adds a millionth of the earlier decay."""

    def binary_op(self, params: Any, a: Any, b: Any) -> Any:
        return b[0] * a[0], b[0] * a[1] + b[1] + 1e-6 * a[0]


@dataclass(frozen=True)
class WrongAct(Sum):
    """Acts with half of the element's decay; `step` is right."""

    def act(self, params: Any, state: Any, element: Any) -> Any:
        return 0.5 * element[0] * state + element[1]

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        return inputs[0] * state + inputs[1]


@dataclass(frozen=True)
class WrongStep(Sum):
    """A step that is not the action of the lifted input."""

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        return inputs[0] * state + 1.001 * inputs[1]


@dataclass(frozen=True)
class WrongFused(RuleCell):
    """A fused form that drops the last input from the state."""

    @property
    def rule(self) -> LinearRecurrence:
        return LinearRecurrence()

    init, initial_state = Sum.init, Sum.initial_state

    def embed(self, params: Any, x: Any) -> Any:
        a, b = Sum.embed(self, params, x)  # type: ignore[arg-type]
        return {"a": a, "b": b}

    def fused(self, params: Any, state: Any, inputs: Any, *args: Any, **how: Any) -> Any:
        after, reads = super().fused(params, state, inputs, *args, **how)
        return after - 1e-6 * inputs["b"][..., -1, :], reads


@dataclass(frozen=True)
class Decaying(LinearRecurrence):
    """Takes padding, and what stands before a start, into its product of decays."""

    def transition(self, inputs: Any, used: Any) -> Any:
        return super().transition(inputs, used | True)


@dataclass(frozen=True)
class TooFull(LinearRecurrence):
    """What it writes begins with something in it."""

    def empty(self, inputs: Any) -> Any:
        return self.zeros(inputs) + 1


@dataclass(frozen=True)
class Reaching(LinearRecurrence):
    """Claims to have forgotten everything after some steps."""

    reach: Any = 2


@dataclass(frozen=True)
class OverRule(WrongFused):
    """A cell over any of these."""

    inner: LinearRecurrence = LinearRecurrence()

    fused = RuleCell.fused

    @property
    def rule(self) -> LinearRecurrence:
        return self.inner


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Decaying(), "act with the total behind a start[0, 0] is"),
        (TooFull(), "act with the total[0, 0] is"),
        (Reaching(), "behind the 2 steps of its reach, of two states[0, 0] is"),
        (Reaching(reach=0), "reach is 0, expected None or a positive int"),
        (Reaching(reach="2"), "reach is '2', expected None or a positive int"),
    ],
)
def test_what_a_rule_says_of_pieces_is_checked(
    rule: LinearRecurrence, words: str, backend: Backend
) -> None:
    [found] = check_model(OverRule(3, rule), laws=["action"], raises=False).failed
    assert words in found.detail
    others = ["associativity", "step", "execution", "reset", "stream"]
    assert not check_model(OverRule(3, rule), laws=others, raises=False).failed


@dataclass(frozen=True)
class Leaking(memcore.Model):
    """Resets by multiplying with a flag that is not quite zero: a hundredth passes every start."""

    remains: float = 0.01

    methods: ClassVar[tuple[str, ...]] = ("sequential",)  # type: ignore[misc]

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        return {}

    def initial_state(self, params: Any) -> Any:
        return np.zeros(self.in_features)

    def _apply(self, params: Any, xs: Any, state: Any, initial: Any, call: memcore.Call) -> Any:
        xp, ys = namespace(xs), []
        for t in range(xs.shape[-2]):
            if call.starts is not None:
                flag = xp.astype(call.starts[..., t][..., None], xs.dtype)
                state = state * (1 - flag * (1 - self.remains))
            after = 0.5 * state + xs[..., t, :]
            valid = None if call.valid is None else call.valid[..., t][..., None]
            state = after if valid is None else xp.where(valid, after, state)
            ys.append(state)
        return state, xp.stack(ys, axis=-2)


@dataclass(frozen=True)
class Forgetful(memcore.Model):
    """A running sum that begins afresh at every call."""

    methods: ClassVar[tuple[str, ...]] = ("sequential",)  # type: ignore[misc]

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        return {}

    def initial_state(self, params: Any) -> Any:
        return np.zeros(self.in_features)

    def _apply(self, params: Any, xs: Any, state: Any, initial: Any, call: memcore.Call) -> Any:
        xp = namespace(xs)
        zero, inner = xp.zeros_like(state), memcore.ops.linear_recurrence
        decay = xp.full((self.in_features,), 0.5, dtype=xs.dtype)
        return inner(decay, xs, zero, starts=call.starts, valid=call.valid, method="sequential")


@dataclass(frozen=True)
class LooksAhead(memcore.Model):
    """Adds the mean over time, and says that it is causal."""

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        return {}

    def initial_state(self, params: Any) -> Any:
        return np.zeros(1)

    def _apply(self, params: Any, xs: Any, state: Any, initial: Any, call: memcore.Call) -> Any:
        return state, xs + namespace(xs).mean(xs, axis=-2, keepdims=True)


MUTANTS: dict[str, tuple[memcore.Model, str]] = {
    "associativity": (NotAssociative(3), "op(op(a, b), c)"),
    "action": (WrongAct(3), "act"),
    "step": (WrongStep(3), "step"),
    "execution": (WrongFused(3), "with fused"),
    "reset": (Leaking(3), "run apart"),
    "stream": (Forgetful(3), "split at"),
}


@pytest.mark.parametrize("model", [Sum(3), Leaking(3, remains=0.0)], ids=["Sum", "not leaking"])
def test_right_models_pass(model: memcore.Model, backend: Backend) -> None:
    laws = [law for law in LAWS if law not in ("adapter", "transform")]
    report = check_model(model, backend=backend.name, laws=laws, length=5)
    assert not report.failed
    assert [result.law for result in report.results] == laws


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("law", MUTANTS)
def test_its_law_catches_it(law: str, backend: Backend) -> None:
    model, words = MUTANTS[law]
    with pytest.raises(AssertionError) as raised:
        check_model(model, laws=[law])
    text = str(raised.value)
    assert text.startswith(repr(model))
    assert "FAILS" in text and words in text and ", expected " in text
    report = check_model(model, laws=[law], raises=False)
    assert [r.law for r in report.failed] == [law]
    assert str(report) == text


@pytest.mark.backend("numpy")
@pytest.mark.parametrize(
    ("law", "holds"),
    [
        ("associativity", ["step"]),
        ("action", ["associativity"]),
        ("step", ["associativity", "action"]),
        ("execution", ["associativity", "action", "step"]),
        ("reset", ["execution", "stream"]),
        ("stream", ["execution"]),
    ],
)
def test_other_laws_do_not(law: str, holds: list[str], backend: Backend) -> None:
    report = check_model(MUTANTS[law][0], laws=holds, raises=False)
    assert not report.failed


@pytest.mark.backend("numpy")
def test_a_model_of_no_recurrence_is_checked_as_well(backend: Backend) -> None:
    """It names no methods, so only "auto" can run it."""
    report = check_model(LooksAhead(3), raises=False)
    failed = {result.law for result in report.failed}
    assert {"reset", "stream"} <= failed


@pytest.mark.backend("numpy")
def test_a_wrong_reference(backend: Backend) -> None:
    model = memcore.LRU(4, state_size=3)
    assert not check_model(model, reference=lambda p, x, s: lru(p, x, s)[1]).failed
    with pytest.raises(
        AssertionError, match=r"reference +FAILS +ys against the reference\[0, 0, 0"
    ):
        check_model(model, laws=["reference"], reference=lambda p, x, s: lru(p, x, s)[1] + 1e-6)
    with pytest.raises(AssertionError, match=r"reference +FAILS"):
        check_model(model, laws=["reference"], reference=lambda p, x, s: lru(p, x)[1])


@pytest.mark.backend("jax", "array_api_strict")
def test_a_model_that_differs_by_library(backend: Backend) -> None:
    @dataclass(frozen=True)
    class OnlyNumpy(Sum):
        def output(self, params: Any, read: Any, inputs: Any) -> Any:
            return read if type(read) is np.ndarray else read * 1.001

    with pytest.raises(AssertionError, match=r"backend +FAILS"):
        check_model(OnlyNumpy(3), backend=backend.name, laws=["backend"], length=5)


@pytest.mark.backend("jax")
def test_a_gradient_that_leaks(backend: Backend) -> None:
    """Right values, but the fused form stops a gradient: only the gradients of law 4 differ."""
    import jax

    @dataclass(frozen=True)
    class Stopped(WrongFused):
        def fused(self, params: Any, state: Any, inputs: Any, *args: Any, **how: Any) -> Any:
            inputs = {**inputs, "a": jax.lax.stop_gradient(inputs["a"])}
            return RuleCell.fused(self, params, state, inputs, *args, **how)

    with pytest.raises(AssertionError, match=r"execution +FAILS +gradient with fused"):
        check_model(Stopped(3), backend="jax", laws=["execution"], length=5)


@pytest.mark.backend("jax")
def test_a_model_that_cannot_be_transformed(backend: Backend) -> None:
    """It compiles at every call, mixes what vmap keeps apart, or makes other shapes without a seed."""

    @dataclass(frozen=True)
    class Compiles(Sum):
        def output(self, params: Any, read: Any, inputs: Any) -> Any:
            import jax

            return jax.jit(lambda x: x + 0.0)(read)  # a new function at every trace, none at a call

    @dataclass(frozen=True)
    class CompilesAgain(Sum):
        def apply(self, params: Any, xs: Any, *args: Any, **how: Any) -> Any:
            import jax

            return super().apply(params, jax.jit(lambda x: x + 0.0)(xs), *args, **how)

    @dataclass(frozen=True)
    class MixesTheBatch(LooksAhead):
        def _apply(self, params: Any, xs: Any, state: Any, initial: Any, call: memcore.Call) -> Any:
            return state, xs + (namespace(xs).mean(xs, axis=0) if xs.ndim == 3 else 0.0)

    @dataclass(frozen=True)
    class WrongShapes(Sum):
        def init(self, key: Any, dtype: Any = "float32") -> Any:
            params = super().init(key, dtype)
            return {"a": params["a"][:-1]} if is_jax(key) else params

    assert not check_model(Compiles(3), backend="jax", laws=["transform"], length=5).failed
    for model, words in (
        (CompilesAgain(3), "a second call with the same shapes compiled 1 times"),
        (MixesTheBatch(3), r"\(state, ys\) under vmap"),
        (WrongShapes(3), "init under eval_shape"),
    ):
        with pytest.raises(AssertionError, match=rf"transform +FAILS +{words}"):
            check_model(model, backend="jax", laws=["transform"], length=5)


@pytest.mark.backend("numpy")
def test_what_does_not_apply(backend: Backend) -> None:
    report = check_model(memcore.GRU(3, hidden_size=2))
    by_law = {result.law: result for result in report.results}
    assert list(by_law) == list(LAWS) and len(LAWS) == 10
    for law in ("associativity", "action", "step", "backend", "adapter", "reference", "transform"):
        assert by_law[law].holds is None and by_law[law].detail
    for law in ("execution", "reset", "stream"):
        assert by_law[law].holds is True
    lines = str(report).splitlines()
    assert lines[0] == repr(memcore.GRU(3, hidden_size=2)) and len(lines) == 11


@pytest.mark.backend("numpy")
def test_counter_examples_for_dtypes_trees_and_errors(backend: Backend) -> None:
    @dataclass(frozen=True)
    class Dtype(Sum):
        def step(self, params: Any, state: Any, inputs: Any) -> Any:
            return super().step(params, state, inputs).astype(np.float32)

    @dataclass(frozen=True)
    class Tree(Sum):
        def binary_op(self, params: Any, a: Any, b: Any) -> Any:
            return (*super().binary_op(params, a, b), *b[1:])

    @dataclass(frozen=True)
    class Raises(Sum):
        def binary_op(self, params: Any, a: Any, b: Any) -> Any:
            raise RuntimeError("not written yet")

    for model, law, words in (
        (Dtype(3), "step", "has dtype float32, expected float64"),
        (Tree(3), "associativity", "FAILS"),
        (Raises(3), "associativity", "not written yet"),
    ):
        with pytest.raises(AssertionError, match=words):
            check_model(model, laws=[law])


@pytest.mark.backend("numpy")
def test_arguments(backend: Backend) -> None:
    with pytest.raises(ValueError, match=r"^laws has \['speed'\], expected names out of"):
        check_model(Sum(3), laws=["speed"])
    with pytest.raises(ValueError, match=r"^backend is 'torch', expected one of"):
        check_model(Sum(3), backend="torch")
    with pytest.raises(ValueError, match=r"^dtype is 'int8', expected 'float32' or 'float64'"):
        check_model(Sum(3), dtype="int8")
    assert issubclass(CounterExample, Exception)
    one = check_model(Sum(3), length=1, batch=1, seed=5, dtype="float32")
    assert not one.failed
