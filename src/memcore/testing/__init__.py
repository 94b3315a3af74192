"""The laws of the contract, checked on any model: ours, and a user's own.

``memcore.testing.check_model(MyCell(8))`` raises for the laws that do not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from memcore.cell import Model
from memcore.testing import laws, transforms
from memcore.testing.case import BACKENDS, Case, CounterExample, NotApplicable
from memcore.types import Tree

__all__ = ["LAWS", "Report", "Result", "check_model"]

LAWS: dict[str, Callable[[Case], None]] = {
    "associativity": laws.associativity,
    "action": laws.action,
    "step": laws.step,
    "execution": laws.execution,
    "reset": laws.reset,
    "stream": laws.stream,
    "backend": laws.backend,
    "adapter": transforms.adapter,
    "reference": laws.reference,
    "transform": transforms.transform,
}
"""The ten laws, in the order of the contract."""


@dataclass(frozen=True)
class Result:
    """One law on one model: whether it holds (None: it does not apply), and what was seen."""

    law: str
    holds: bool | None
    detail: str = ""

    def __str__(self) -> str:
        mark = {True: "holds", False: "FAILS", None: "-"}[self.holds]
        return f"{self.law:<14}{mark:<7}{self.detail}".rstrip()


@dataclass(frozen=True)
class Report:
    """What `check_model` found."""

    model: Model
    results: tuple[Result, ...]

    @property
    def failed(self) -> tuple[Result, ...]:
        """The laws that do not hold."""
        return tuple(r for r in self.results if r.holds is False)

    def __str__(self) -> str:
        return "\n".join([repr(self.model), *map(str, self.results)])


def check_model(
    model: Model,
    *,
    laws: Iterable[str] | None = None,
    backend: str = "numpy",
    dtype: str = "float64",
    length: int = 17,
    batch: int = 2,
    seed: int = 0,
    reference: Callable[[Tree, Tree, Tree], Tree] | None = None,
    raises: bool = True,
) -> Report:
    """Check a model against the laws of the contract, law by law.

    Args:
        model: any `memcore.Model`.
        laws: names out of `LAWS`; None checks all that apply to ``backend``.
        backend: ``"numpy"``, ``"array_api_strict"`` or ``"jax"``. Gradients, transformations and
            adapters need JAX.
        dtype: ``"float64"`` (tolerance 1e-10) or ``"float32"`` (1e-5; gradients 5e-5), relative to
            ``max(1, largest number)``.
        length: T of the sequences.
        batch: number of sequences.
        seed: of parameters, inputs, starts and states.
        reference: an independent implementation for the law of that name:
            ``reference(params, xs (T, ...), starts (T,)) -> ys (T, out_features)``, float64 NumPy.
        raises: whether a law that fails raises.

    Returns:
        A report: print it for a line per law, with the first counter-example where one fails.

    Raises:
        AssertionError: a law fails, and ``raises``; the message is the report.
        ValueError: an unknown law, backend or dtype.
    """
    names = tuple(LAWS) if laws is None else tuple(laws)
    unknown = [name for name in names if name not in LAWS]
    if unknown:
        raise ValueError(f"laws has {unknown}, expected names out of {tuple(LAWS)}")
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}, expected one of {tuple(BACKENDS)}")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype is {dtype!r}, expected 'float32' or 'float64'")
    try:
        case = Case(model, backend, dtype, length, batch, seed, reference)
    except Exception as error:  # no law can be looked at
        found = Result("execution", False, f"raises {type(error).__name__}: {error}")
        report = Report(model, (found,))
        if raises:
            raise AssertionError(str(report)) from error
        return report
    with case.precision():
        report = Report(model, tuple(_check(name, case) for name in names))
    if raises and report.failed:
        raise AssertionError(str(report))
    return report


def _check(name: str, case: Case) -> Result:
    try:
        LAWS[name](case)
    except CounterExample as example:
        return Result(name, False, str(example))
    except NotApplicable as why:
        return Result(name, None, str(why))
    except Exception as error:  # a model may raise anything; that is a finding, not our failure
        return Result(name, False, f"raises {type(error).__name__}: {error}")
    return Result(name, True)
