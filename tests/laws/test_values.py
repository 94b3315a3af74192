"""Models are values: they compare, copy, pickle and print as what they are made from."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

import memcore
from cases.models import MODELS
from memcore.compose.wrapper import Wrapper
from memcore.registry import alone


def of_twelve(model: memcore.Model) -> memcore.Model:
    """The model with 12 inputs, as those inside a wrapper or a stack have them."""
    if isinstance(model, Wrapper):
        return replace(model, model=of_twelve(model.model))
    if isinstance(model, memcore.Stack):
        first, *rest = model.models
        wider = of_twelve(first)
        if wider.out_features != first.out_features:
            rest = [of_twelve(behind) for behind in rest]
        return replace(model, models=(wider, *rest))
    return replace(model, in_features=12)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_a_value(name: str) -> None:
    model = MODELS[name]
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), replace(model)):
        assert again == model and hash(again) == hash(model) and {model: 1}[again] == 1
    assert eval(repr(model), vars(memcore)) == model
    other = of_twelve(model)
    assert other != model and other.in_features == 12
    with pytest.raises(FrozenInstanceError):
        model.in_features = 3  # type: ignore[misc]
    with pytest.raises((AttributeError, FrozenInstanceError)):
        model.weights = 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", alone())
def test_fields(name: str) -> None:
    """in_features comes first, and has no default; everything else has one."""
    cls = memcore.registry[name]
    assert [f.name for f in fields(cls)][0] == "in_features"
    model = cls(64)
    _, ys = model.apply(model.init(0), np.zeros((2, 3, 64), np.float32))
    assert ys.shape == (2, 3, model.out_features)
    assert cls.__doc__ and "State:" in cls.__doc__
