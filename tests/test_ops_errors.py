"""What the functions of memcore.ops say to bad input."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conftest import Backend
from memcore import ops
from op_cases import HEADS, KEYS, VALUES, WIDTH

Q = np.zeros((2, 5, HEADS, KEYS))
V = np.zeros((2, 5, HEADS, VALUES))
B = np.zeros((2, 5, HEADS))
X = np.zeros((2, 5, WIDTH))
ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "q": (lambda: ops.linear_attention(Q[..., :2], Q, V), r"^q has shape \(2, 5, 2, 2\), expected"),
    "k": (lambda: ops.linear_attention(Q[0, 0], Q[0, 0], V[0, 0]), r"^k has shape"),
    "v": (lambda: ops.delta_rule(Q, Q, V[:, :4], B), r"^v has shape \(2, 4, 2, 3\), expected"),
    "beta": (lambda: ops.delta_rule(Q, Q, V, B[:, :1]), r"^beta has shape \(2, 1, 2\), expected"),
    "log_decay": (lambda: ops.linear_attention(Q, Q, V, B[0]), r"^log_decay has shape \(5, 2\)"),
    "starts": (
        lambda: ops.linear_attention(Q, Q, V, starts=np.zeros((3, 5), bool)),
        r"^starts has shape \(3, 5\), expected \(2, 5\)",
    ),
    "starts_dtype": (
        lambda: ops.linear_attention(Q, Q, V, starts=np.zeros((2, 5), complex)),
        r"^starts has dtype complex128, expected bool",
    ),
    "valid": (
        lambda: ops.causal_convolution(X, X[0, :3], valid=np.zeros((2, 4), bool)),
        r"^valid has shape \(2, 4\), expected \(2, 5\)",
    ),
    "state": (
        lambda: ops.linear_attention(Q, Q, V, state=np.zeros((2, 2, 4, 4))),
        r"^state has shape \(2, 2, 4, 4\), expected \(2, 2, 4, 3\)",
    ),
    "initial": (
        lambda: ops.linear_attention(Q, Q, V, initial=np.zeros((2, 2, 4, 4))),
        r"^initial has shape \(2, 2, 4, 4\), expected \(2, 2, 4, 3\)",
    ),
    "method": (lambda: ops.delta_rule(Q, Q, V, B, method="foo"), r"^method is 'foo', expected"),
    "chunk_size": (lambda: ops.delta_rule(Q, Q, V, B, chunk_size=0), r"^chunk_size is 0, expected"),
    "window": (lambda: ops.window_attention(Q, Q, V, 0), r"window is 0, expected"),
    "window_float": (lambda: ops.window_attention(Q, Q, V, 2.5), r"window is 2.5, expected"),
    "window_keys": (lambda: ops.window_attention(Q[0, 0], Q[0, 0], V[0, 0], 3), r"^k has shape"),
    "position": (lambda: ops.window_attention(Q, Q, V, 3, position="x"), r"^position is 'x'"),
    "rope": (
        lambda: ops.window_attention(Q[..., :3], Q[..., :3], V, 3, position="rope"),
        r"even key size, got 3",
    ),
    "kernel": (lambda: ops.causal_convolution(X, Q[0, 0]), r"^kernel has shape \(2, 4\), expected"),
    "kernel_short": (lambda: ops.causal_convolution(X, X[0, :1]), r"^kernel has shape \(1, 3\)"),
    "x": (lambda: ops.causal_convolution(X[0, 0], X[0]), r"^x has shape \(3,\), expected"),
    "a": (lambda: ops.linear_recurrence(np.ones(4), X), r"^a has shape \(4,\), expected"),
    "a_time": (lambda: ops.linear_recurrence(X[:, :2], X), r"^a has shape \(2, 2, 3\), expected"),
    "b": (lambda: ops.linear_recurrence(X[0, 0], X[0, 0]), r"^b has shape \(3,\), expected"),
    "b_dtype": (lambda: ops.linear_recurrence(np.ones(3), np.ones((5, 3), int)), r"^b has dtype"),
    "n": (
        lambda: ops.delta_product(Q, K2[:, :, :0], V2[:, :, :0], B2[:, :, :0]),
        r"^k has shape \(2, 5, 0, 2, 4\), expected \(..., T, n, H, K\) with n >= 1",
    ),
    "none_in_a_pair": (lambda: ops.linear_recurrence((X, X), (None, None)), r"^b is a tuple"),
    "pairs": (lambda: ops.linear_recurrence((X, X), X), r"a .*pair|pair.* a"),
}


A = np.zeros((2, 5, WIDTH, WIDTH))
K2, V2, B2 = Q[:, :, None], V[:, :, None], B[:, :, None]
W = np.ones((HEADS, KEYS, KEYS))
HEADED = {"q": Q, "k": Q, "v": V}
ARRAYS: dict[str, dict[str, np.ndarray]] = {
    "linear_attention": {**HEADED, "log_decay": B},
    "delta_rule": {**HEADED, "beta": B, "log_decay": Q},
    "delta_product": {"q": Q, "k": K2, "v": V2, "beta": B2, "log_decay": B},
    "dplr_delta_rule": {**HEADED, "a": Q, "b": Q, "log_decay": B},
    "mlstm": {**HEADED, "log_input": B, "log_forget": B},
    "softmax": {"scores": B, "v": V, "log_decay": B},
    "log_sum_exp": {"x": X, "log_decay": X},
    "max_plus": {"a": X, "b": X},
    "neural_memory": {"q": Q, "k": Q, "v": Q, "rate": B, "momentum": B, "forget": B},
    "yaad": {"q": Q, "k": Q, "v": Q, "rate": B, "keep": B, "threshold": B, "weight": W},
    "moneta": {"q": Q, "k": Q, "v": Q, "rate": B, "keep": B, "weight": W},
    "memora": {"q": Q, "k": Q, "v": Q, "rate": B, "keep": B, "weight": W},
    "omega": {"q": Q, "k": Q, "v": Q, "rate": B, "keep": B, "gamma": B, "momentum": B},
    "lact": {"q": Q, "k": Q, "v": Q, "rate": B, "w0": W, "w1": W, "w2": W},
    "linear_recurrence": {"a": X, "b": X},
    "dense_recurrence": {"a": A, "b": X},
    "rotation": {"angles": X},
    "causal_convolution": {"x": X, "kernel": X[0]},
    "window_attention": {**HEADED, "sinks": B[0, 0]},
}
"""The array arguments of every function."""
OPTIONAL = {"log_decay", "sinks"}
SCALED = ("linear_attention", "delta_rule", "delta_product", "dplr_delta_rule", "mlstm",
          "window_attention")  # fmt: skip


OTHERS: dict[str, dict[str, Any]] = {
    "window_attention": {"window": 3},
    "neural_memory": {"weights": (np.zeros((HEADS, KEYS, KEYS)),)},
}
"""What else a function needs."""


def run(function: str, **arguments: Any) -> Any:
    return getattr(ops, function)(**{**ARRAYS[function], **OTHERS.get(function, {}), **arguments})


def test_every_function_is_here() -> None:
    assert set(ARRAYS) == set(ops.__all__)


@pytest.mark.parametrize("dtype", [int, bool, complex])
@pytest.mark.parametrize(("function", "name"), [(f, name) for f in ARRAYS for name in ARRAYS[f]])
def test_numbers_that_are_not_floating_point(function: str, name: str, dtype: type) -> None:
    run(function)
    with pytest.raises(TypeError, match=rf"^{name} has dtype {np.dtype(dtype)}, expected floating"):
        run(function, **{name: ARRAYS[function][name].astype(dtype)})


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (f, n)
        for f in ARRAYS
        for n in ARRAYS[f]
        if n not in OPTIONAL and (f[:5], n) not in (("dense", "b"), ("omega", "momentum"))
    ],
)
def test_none_where_an_array_must_be(function: str, name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name} is None, expected an array \("):
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


@pytest.mark.parametrize(
    ("function", "name"),
    [("delta_rule", "v"), ("linear_recurrence", "b"), ("dense_recurrence", "b"), ("max_plus", "b"),
     ("log_sum_exp", "x")],
)  # fmt: skip
def test_messages_name_the_argument_that_tells_the_shape(function: str, name: str) -> None:
    like = re.escape(f"to match {name} {ARRAYS[function][name].shape}")
    state = run(function)[0][..., :1]
    for wrong in ({"state": state}, {"initial": state}, {"valid": np.zeros((2, 4), bool)}):
        with pytest.raises(ValueError, match=rf"^{next(iter(wrong))} has shape .* {like}$"):
            run(function, **wrong)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, backend: Backend) -> None:
    call, message = ERRORS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()
