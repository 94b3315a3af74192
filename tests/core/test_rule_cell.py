"""Cells of users over a shared rule: with a `read` of their own, with wide inputs, by every method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from cases.checks import close
from conftest import Backend
from memcore.backend import namespace
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.matrix.linear_attention import LinearAttentionRule
from memcore.ops.rule import Rule, RuleCell


@dataclass(frozen=True)
class Total(RuleCell):
    """A leaky sum of the inputs, of which the square is read; the decay is there for all steps."""

    rule: ClassVar[Rule] = LinearRecurrence()

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        return {"decay": np.asarray(0.9, dtype=dtype)}

    def initial_state(self, params: Any) -> Any:
        return np.zeros(self.in_features)

    def embed(self, params: Any, x: Any) -> Any:
        return {"a": params["decay"] + 0 * x, "b": x}

    def read(self, params: Any, state: Any, inputs: Any) -> Any:
        return state * state + inputs["b"]


@dataclass(frozen=True)
class Wide(Total):
    """The same, whose decays are made inside the step or chunk."""

    def embed(self, params: Any, x: Any) -> Any:
        return {"b": x}

    def rule_inputs(self, params: Any, inputs: Any) -> Any:
        return {"a": params["decay"] + 0 * inputs["b"], "b": inputs["b"]}


class Before(LinearRecurrence):
    """A rule that is read before its step."""

    reads_previous: ClassVar[bool] = True


class Open(LinearRecurrence):
    """A rule without a closed form for a chunk."""

    fused = Rule.fused


@dataclass(frozen=True)
class WideBefore(Wide):
    rule: ClassVar[Rule] = Before()


@dataclass(frozen=True)
class TotalBefore(Total):
    rule: ClassVar[Rule] = Before()


@dataclass(frozen=True)
class WideOpen(Wide):
    rule: ClassVar[Rule] = Open()


@dataclass(frozen=True)
class Recall(RuleCell):
    """Keys and values of the input, and half of what the memory says to it."""

    rule: ClassVar[Rule] = LinearAttentionRule()

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        return {}

    def initial_state(self, params: Any) -> Any:
        return np.zeros((1, self.in_features, self.in_features))

    def embed(self, params: Any, x: Any) -> Any:
        return x

    def rule_inputs(self, params: Any, inputs: Any) -> Any:
        x = inputs[..., None, :]
        return {"q": x, "k": x, "v": x}

    def read(self, params: Any, state: Any, inputs: Any) -> Any:
        return 0.5 * self.rule.read(state, self.rule_inputs(params, inputs))

    def output(self, params: Any, read: Any, inputs: Any) -> Any:
        return namespace(read).squeeze(read, axis=-2)


@pytest.mark.parametrize("method", ["auto", "fused", "associative", "chunked"])
@pytest.mark.parametrize("cell", [Total, Wide, TotalBefore, WideBefore, WideOpen, Recall])
def test_a_cell_that_reads_by_itself(cell: Any, method: str, backend: Backend, x64: None) -> None:
    """By every method what a fold over steps computes; the last chunk is not full."""
    model, rng = cell(3), np.random.default_rng(0)
    assert method == "auto" or method in model.methods
    xs = rng.standard_normal((2, 11, 3))
    flags = {"starts": rng.random((2, 11)) < 0.3, "valid": rng.random((2, 11)) < 0.8}
    state = model.apply(model.init(0, "float64"), xs)[0]
    arrays = backend.asarray((model.init(0, "float64"), xs, state))
    for how in ({}, flags):
        how = backend.asarray(how)
        want = model.apply(*arrays, **how, method="sequential")
        close(model.apply(*arrays, **how, method=method, chunk_size=4), want, 1e-12)
