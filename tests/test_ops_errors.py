"""What the functions of memcore.ops say to bad input."""

from __future__ import annotations

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
        lambda: ops.linear_attention(Q, Q, V, starts=np.zeros((2, 5))),
        r"^starts has dtype float64, expected bool",
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
    "pairs": (lambda: ops.linear_recurrence((X, X), X), r"a .*pair|pair.* a"),
}


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, backend: Backend) -> None:
    call, message = ERRORS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()
