"""Titans with its memory as a gate, Behrouz et al. 2025, arXiv:2501.00663, 4.2."""

from typing import Any

import memcore
from cases.models.base import ModelCase
from cases.models.inner.neural_memory import neural_memory
from cases.models.reference import float64, rms_norm, silu
from cases.models.window.attention import attention


def parts(model: Any, params: Any, xs: Any, starts: Any) -> tuple[Any, Any]:
    """Attention of xs, and the memory as a function of its inputs."""
    p = float64(params)
    memory: Any = {n: getattr(model, n) for n in ("heads", "mini_batch", "rate", "max_grad_norm")}
    window: Any = {"heads": model.heads, "window": model.window, "position": "rope"}

    def attend(x: Any) -> Any:
        return attention(p["attention"], x, starts, **window)[1]

    def remember(x: Any) -> Any:
        return neural_memory(p["memory"], x, starts, residual=True, **memory)

    return attend, remember


def titans_mag(model: Any, params: Any, xs: Any, starts: Any) -> Any:
    attend, remember = parts(model, params, xs, starts)
    p, xs = float64(params), float64(xs)
    gate = silu(rms_norm(remember(xs), p["gate_norm"]["scale"]))
    return rms_norm(attend(xs), p["norm"]["scale"]) * gate


MODEL = memcore.TitansMAG(
    4, heads=2, window=3, persistent=2, hidden_size=3, mini_batch=4, conv_size=2
)
CASES = [ModelCase("titans_mag", MODEL, lambda p, x, s: titans_mag(MODEL, p, x, s))]
WRONG = {
    "heads": (lambda: memcore.TitansMAG(10), r"^heads is 4, expected a divisor"),
    "window": (lambda: memcore.TitansMAG(8, window=0), r"^window is 0, expected a positive int"),
    "depth": (lambda: memcore.TitansMAG(8, depth=5), r"^depth is 5, expected at most 4"),
    "persistent": (lambda: memcore.TitansMAG(8, persistent=0), r"^persistent is 0, expected a pos"),
}
