"""Titans with its memory as a layer, Behrouz et al. 2025, arXiv:2501.00663, 4.3."""

from typing import Any

import memcore
from cases.models.base import ModelCase
from cases.models.grid.titans_mag import parts


def titans_mal(model: Any, params: Any, xs: Any, starts: Any) -> Any:
    attend, remember = parts(model, params, xs, starts)
    return attend(remember(xs))


MODEL = memcore.TitansMAL(
    4, heads=2, window=3, persistent=1, depth=1, mini_batch=3, conv_size=3, rate=0.2
)
CASES = [ModelCase("titans_mal", MODEL, lambda p, x, s: titans_mal(MODEL, p, x, s))]
WRONG = {
    "heads": (lambda: memcore.TitansMAL(10), r"^heads is 4, expected a divisor"),
    "rate": (lambda: memcore.TitansMAL(8, rate=0.0), r"^rate is 0.0, expected a number above 0"),
}
