"""The contract: the ten laws over every registered model, on every backend."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memcore
from memcore.testing import LAWS, check_model
from models import MODELS, REFERENCES

ELSEWHERE = ("adapter",)
"""Checked where the frameworks are installed: tests/adapters."""
LAWS_HERE = [law for law in LAWS if law not in ELSEWHERE]

NOT_ASSOCIATIVE = (
    *["gru", "lstm", "ttt_linear", "ttt_linear_of_one"],
    *["bidirectional", "learned_state", "residual_stack_tokens"],
)
NOT_CAUSAL = ("bidirectional", "backward")

VARIANTS = (
    "gated_delta_net_negative",
    "attention_alibi",
    "attention_plain",
    "residual_stack_tokens",
    "attention_cache",
    "attention_sinks",
    "ttt_linear_of_one",
)
"""On JAX these are compared with NumPy, where they obey all laws; what they vary is not the engine."""

models = pytest.mark.parametrize("name", list(MODELS))


def test_every_registered_model_is_here() -> None:
    tested = {type(model) for model in MODELS.values()}
    assert set(memcore.registry.values()) == tested


@models
def test_laws(name: str, backend: Any) -> None:
    # JAX compiles every length of every method; its long sequence is in float64 below.
    on_jax = {"dtype": "float32", "length": 5} if backend.name == "jax" else {}
    reference = REFERENCES.get(name)
    if backend.name == "jax" and name in VARIANTS:
        check_model(MODELS[name], laws=["backend"], backend="jax", dtype="float32")
        return
    report = check_model(
        MODELS[name], laws=LAWS_HERE, backend=backend.name, reference=reference, **on_jax
    )
    left_out = {result.law for result in report.results if result.holds is None}
    expected = {"backend"} if backend.name == "numpy" else set()
    expected |= {"transform"} if backend.name != "jax" else set()
    expected |= {"associativity", "action", "step"} if name in NOT_ASSOCIATIVE else set()
    expected |= {"stream"} if name in NOT_CAUSAL else set()
    expected |= {"reference"} if name not in REFERENCES else set()
    assert left_out == expected


@pytest.mark.parametrize("name", [name for name in MODELS if name not in VARIANTS])
@pytest.mark.backend("jax")
def test_laws_in_float64(name: str, backend: Any) -> None:
    """Execution with gradients, and NumPy's numbers, to 1e-10."""
    check_model(MODELS[name], laws=["execution", "backend"], backend="jax", dtype="float64")


@models
@pytest.mark.backend("numpy")
def test_laws_in_float32(name: str, backend: Any) -> None:
    laws = ["execution", "reset", "stream", "reference"]
    reference = REFERENCES.get(name)
    check_model(MODELS[name], laws=laws, dtype="float32", reference=reference)


@models
@pytest.mark.backend("numpy")
@settings(max_examples=15)
@given(length=st.integers(1, 40), batch=st.integers(1, 3), seed=st.integers(0, 2**16))
def test_laws_for_any_length(name: str, backend: Any, length: int, batch: int, seed: int) -> None:
    laws = ["execution", "reset", "reference"]
    reference = REFERENCES.get(name)
    check_model(MODELS[name], laws=laws, length=length, batch=batch, seed=seed, reference=reference)
