"""The lock: every registered model has a case, and every case a reference."""

from __future__ import annotations

import pytest

import memcore
from cases.models import CASES, SHAPES
from memcore.registry import name_of
from memcore.testing import LAWS


def test_every_registered_model_is_here() -> None:
    assert {type(case.model) for case in CASES.values()} == set(memcore.registry.values())


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_a_model(name: str) -> None:
    case = CASES[name]
    assert name.startswith(name_of(case.model))
    assert callable(case.reference)
    assert set(case.without) <= set(LAWS) and all(case.without.values())


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_of_a_model(name: str) -> None:
    assert name.startswith(name_of(SHAPES[name].model)) and callable(SHAPES[name].reference)
