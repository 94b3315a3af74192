"""What the functions of memcore.ops say to bad input."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest

from cases.ops import HEADS, RULES, WRONG
from conftest import Backend
from memcore import ops

ARRAYS = [(function, name) for function, rule in RULES.items() for name in rule.arrays]
NEEDED = [(function, name) for function, name in ARRAYS if name not in RULES[function].optional]
SCALED = [f for f in RULES if "scale" in inspect.signature(getattr(ops, f)).parameters]
TOLD = [(f, rule.told_by) for f, rule in RULES.items() if rule.told_by]


def run(function: str, **arguments: Any) -> Any:
    rule = RULES[function]
    return getattr(ops, function)(**{**rule.arrays, **rule.more, **arguments})


@pytest.mark.parametrize("dtype", [int, bool, complex])
@pytest.mark.parametrize(("function", "name"), ARRAYS)
def test_numbers_that_are_not_floating_point(function: str, name: str, dtype: type) -> None:
    run(function)
    with pytest.raises(TypeError, match=rf"^{name} has dtype {np.dtype(dtype)}, expected floating"):
        run(function, **{name: RULES[function].arrays[name].astype(dtype)})


@pytest.mark.parametrize(("function", "name"), NEEDED)
def test_none_where_an_array_must_be(function: str, name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name} is None, expected an array \("):
        run(function, **{name: None})


@pytest.mark.parametrize(("function", "name"), [x for x in ARRAYS if x not in NEEDED])
def test_none_where_an_array_may_be(function: str, name: str) -> None:
    run(function, **{name: None})


@pytest.mark.parametrize("function", SCALED)
def test_a_scale_is_a_number(function: str) -> None:
    for value in (np.float32(0.5), np.float64(0.5), np.int64(2), 2):
        assert run(function, scale=value)[1].dtype == np.float64
    with pytest.raises(TypeError, match=r"^scale is an array, expected a Python number; multiply"):
        run(function, scale=np.ones(HEADS))
    with pytest.raises(TypeError, match=r"^scale is 'a', expected a Python number"):
        run(function, scale="a")


@pytest.mark.backend("jax")
def test_a_traced_scale(backend: Backend) -> None:
    import jax

    with pytest.raises(TypeError, match=r"^scale is an array, expected a Python number"):
        jax.jit(lambda s: run("delta_rule", scale=s))(0.5)
    with pytest.raises(TypeError, match=r"^eps is an array, expected a Python number"):
        jax.jit(lambda e: run("mlstm", eps=e))(0.5)


@pytest.mark.parametrize(("function", "name"), TOLD)
def test_messages_name_the_argument_that_tells_the_shape(function: str, name: str) -> None:
    like = re.escape(f"to match {name} {RULES[function].arrays[name].shape}")
    state = run(function)[0][..., :1]
    for wrong in ({"state": state}, {"initial": state}, {"valid": np.zeros((2, 4), bool)}):
        with pytest.raises(ValueError, match=rf"^{next(iter(wrong))} has shape .* {like}$"):
            run(function, **wrong)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", WRONG)
def test_errors(name: str, backend: Backend) -> None:
    call, message = WRONG[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()
