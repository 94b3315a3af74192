"""Weights of torch for GRU and LSTM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def torch_params(weights: Callable[[str], Any]) -> dict[str, Any]:
    """As the docstrings of memcore.GRU and memcore.LSTM say."""
    return {
        "input": {"kernel": weights("weight_ih_l0").T, "bias": weights("bias_ih_l0")},
        "hidden": {"kernel": weights("weight_hh_l0").T, "bias": weights("bias_hh_l0")},
    }
