"""Memory rules as functions of plain arrays, usable inside anybody's ``jit`` code."""

from memcore.ops.causal_convolution import causal_convolution as causal_convolution
from memcore.ops.delta_rule import delta_rule as delta_rule
from memcore.ops.linear_attention import linear_attention as linear_attention
from memcore.ops.linear_recurrence import linear_recurrence as linear_recurrence
from memcore.ops.window_attention import window_attention as window_attention

__all__ = [
    "causal_convolution",
    "delta_rule",
    "linear_attention",
    "linear_recurrence",
    "window_attention",
]
