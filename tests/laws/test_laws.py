"""The contract: the ten laws over every registered model, on every backend."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memcore
from cases.models import CASES, EVERY_METHOD, ON_JAX, ONE_PER_RULE, SAME_PARTS
from memcore.engine.checks import runnable
from memcore.ops.rule import RuleCell
from memcore.testing import LAWS, check_model
from memcore.testing import case as cases_of_laws
from memcore.testing import laws as the_laws

ELSEWHERE = ("adapter",)
"""Checked where the frameworks are installed: tests/adapters."""
LAWS_HERE = [law for law in LAWS if law not in ELSEWHERE]

OF_A_RULE = ("associativity", "action", "step", "reference")
"""On JAX, which compiles every operation of them, looked at for `OWN_ALGEBRA` alone: the rest hands its
algebra to a rule, which `test_rule_runs` compiles, and the law of backends has NumPy's numbers."""
OWN_ALGEBRA = (*EVERY_METHOD, "residual_stack")  # which has learned positions

SMALLER: dict[str, Any] = {
    "jax": {"dtype": "float32", "length": 5},
    "array_api_strict": {"length": 9},
}
"""JAX compiles every length of every method, and its long sequence is in float64 below; the strict library,
whose calls are slow, is here for the names it knows."""

models = pytest.mark.parametrize("name", list(CASES))


def laws_of(name: str, backend: str, whole: bool) -> list[str]:
    """The laws of an instance on a backend, with ``--whole`` all."""
    if backend != "jax" or whole or name in OWN_ALGEBRA:
        return LAWS_HERE
    if name in SAME_PARTS:
        return ["reset", "backend", "transform"]
    return [law for law in LAWS_HERE if law not in OF_A_RULE]


def the_fold_and_auto(model: Any, arrays: Any) -> tuple[str, ...]:
    """The first method, with which the laws compare, and what is chosen where none is asked for."""
    every = runnable(model, arrays)
    return every if len(every) == 1 else (every[0], "auto")


@pytest.fixture
def fewer_methods(name: str, backend: Any, request: Any, monkeypatch: Any) -> None:
    """On JAX every method of `EVERY_METHOD`, and with ``--whole`` of all models; else the fold and `auto`.

    NumPy runs the same code of a model by every method, and JAX every method of every rule (test_rule_runs).
    """
    if backend.name == "jax" and name not in EVERY_METHOD:
        request.node.add_marker("no_cover")
        if not request.config.getoption("--whole"):
            for module in (cases_of_laws, the_laws):
                monkeypatch.setattr(module, "runnable", the_fold_and_auto)


@pytest.fixture
def strictly(backend: Any, monkeypatch: Any) -> None:
    """On JAX no run moves anything from the host, and no rank is promoted by mistake in a run or a gradient.

    ``transfer_guard("disallow")`` and ``jax_numpy_rank_promotion="raise"``, which people set to find mistakes
    in their own code. JAX looks while it traces, and these laws trace every model.
    """
    if backend.name != "jax":
        return
    import jax

    def within(context: Any, f: Any) -> Any:
        def inside(*args: Any, **how: Any) -> Any:
            with context():
                return f(*args, **how)

        return inside

    monkeypatch.setattr(
        memcore.Model, "apply", within(lambda: jax.transfer_guard("disallow"), memcore.Model.apply)
    )
    for law in ("execution", "reset", "stream", "transform"):
        strict = within(lambda: jax.numpy_rank_promotion("raise"), LAWS[law])
        monkeypatch.setitem(LAWS, law, strict)


@models
@pytest.mark.usefixtures("fewer_methods", "strictly")
def test_laws(name: str, backend: Any, request: Any) -> None:
    """On NumPy of every instance, elsewhere of one for each model: the others have NumPy's numbers."""
    case = CASES[name]
    how = SMALLER.get(backend.name, {})
    if backend.name != "numpy" and not case.on_jax:
        dtype = how.get("dtype", "float64")
        check_model(case.model, laws=["backend"], backend=backend.name, dtype=dtype)
        return
    laws = laws_of(name, backend.name, request.config.getoption("--whole"))
    report = check_model(
        case.model, laws=laws, backend=backend.name, reference=case.reference, **how
    )
    left_out = {result.law for result in report.results if result.holds is None}
    expected = {"backend"} if backend.name == "numpy" else set()
    expected |= {"transform"} if backend.name != "jax" else set()
    assert left_out == (expected | set(case.without)) & set(laws)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize(
    "name", [name for name in ON_JAX if "associativity" not in laws_of(name, "jax", False)]
)
def test_algebra_that_is_not_compiled_is_a_rules(name: str, backend: Any) -> None:
    case = cases_of_laws.Case(CASES[name].model, "numpy", "float64", 9, 2, 0, None)
    try:
        cells = [type(cell) for cell, _, _ in case.memoroids()]
    except cases_of_laws.NotApplicable:
        return
    compiled = {type(CASES[name].model) for name in OWN_ALGEBRA}
    assert [cell for cell in cells if not issubclass(cell, RuleCell) and cell not in compiled] == []


@pytest.mark.parametrize(
    "name",
    [n if n in ONE_PER_RULE else pytest.param(n, marks=pytest.mark.whole) for n in ON_JAX],
)
@pytest.mark.backend("jax")
@pytest.mark.no_cover
def test_laws_in_float64(name: str, backend: Any) -> None:
    """Execution with gradients, and NumPy's numbers, to 1e-10; with ``--whole`` of every model."""
    check_model(CASES[name].model, laws=["execution", "backend"], backend="jax", dtype="float64")


@models
@pytest.mark.backend("numpy")
@pytest.mark.no_cover
def test_laws_in_float32(name: str, backend: Any) -> None:
    which = ["execution", "reset", "stream", "reference"]
    case = CASES[name]
    check_model(case.model, laws=which, dtype="float32", reference=case.reference)


@models
@pytest.mark.backend("numpy")
@pytest.mark.no_cover
@settings(max_examples=5)
@given(length=st.integers(1, 24), batch=st.integers(1, 3), seed=st.integers(0, 2**16))
def test_laws_for_any_length(name: str, backend: Any, length: int, batch: int, seed: int) -> None:
    which = ["execution", "reset", "reference"]
    case = CASES[name]
    check_model(
        case.model, laws=which, length=length, batch=batch, seed=seed, reference=case.reference
    )
