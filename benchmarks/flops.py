"""Floating-point operations of the rules, counted from their equations.

Counted is the recurrence as it is written, step by step, a multiplication and an addition as two; what
a method computes beyond that (a chunk's triangle, a prefix scan's products) does not count. A gradient
costs two products for each one of the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable

from sizes import KERNEL, Sizes

PER_STEP: dict[str, Callable[[Sizes], int]] = {
    "linear_recurrence": lambda n: 8 * n.width,
    "widened_linear_recurrence": lambda n: 16 * 5 * n.width,
    "gated_cell": lambda n: 2 * 6 * n.width**2,
    "dense_recurrence": lambda n: 2 * n.dense**2,
    "linear_attention": lambda n: n.heads * 4 * n.size**2,
    "linear_attention per channel": lambda n: n.heads * 5 * n.size**2,
    "delta_rule": lambda n: n.heads * 7 * n.size**2,
    "delta_rule per channel": lambda n: n.heads * 7 * n.size**2,
    "delta_product": lambda n: n.heads * 11 * n.size**2,
    "dplr_delta_rule": lambda n: n.heads * 9 * n.size**2,
    "neural_memory": lambda n: n.heads * 10 * n.size**2,
    "mlstm": lambda n: n.heads * 5 * n.size**2,
    "log_sum_exp": lambda n: 4 * n.width,
    "max_plus": lambda n: 2 * n.width,
    "softmax": lambda n: n.heads * 4 * n.size,
    "window_attention": lambda n: n.heads * 4 * n.window * n.size,
    "full_attention": lambda n: n.heads * 4 * n.length // 2 * n.size,
    "causal_convolution": lambda n: 2 * KERNEL * n.width,
}
"""Forward, per step of one sequence."""


def forward_and_gradient(rule: str, n: Sizes) -> int | None:
    """Of the whole problem; None where there is no formula."""
    return 3 * n.batch * n.length * PER_STEP[rule](n) if rule in PER_STEP else None
