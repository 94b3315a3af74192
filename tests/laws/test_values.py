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


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_a_value(name: str) -> None:
    model = MODELS[name]
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), replace(model)):
        assert again == model and hash(again) == hash(model) and {model: 1}[again] == 1
    assert eval(repr(model), vars(memcore)) == model
    inside = model.model if isinstance(model, Wrapper) else None
    how = {"in_features": 12} if inside is None else {"model": replace(inside, in_features=12)}
    if isinstance(model, memcore.Stack):
        how = {"models": (replace(model.models[0], in_features=12), *model.models[1:])}
    other = replace(model, **how)
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
