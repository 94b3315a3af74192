"""Memory rules as functions of plain arrays, usable inside anybody's ``jit`` code."""

from memcore.ops.inner.lact import lact as lact
from memcore.ops.inner.memora import memora as memora
from memcore.ops.inner.moneta import moneta as moneta
from memcore.ops.inner.neural_memory import neural_memory as neural_memory
from memcore.ops.inner.omega import omega as omega
from memcore.ops.inner.yaad import yaad as yaad
from memcore.ops.linear.dense_recurrence import dense_recurrence as dense_recurrence
from memcore.ops.linear.linear_recurrence import linear_recurrence as linear_recurrence
from memcore.ops.linear.rotation import rotation as rotation
from memcore.ops.matrix.delta_product import delta_product as delta_product
from memcore.ops.matrix.delta_rule import delta_rule as delta_rule
from memcore.ops.matrix.dplr_delta_rule import dplr_delta_rule as dplr_delta_rule
from memcore.ops.matrix.linear_attention import linear_attention as linear_attention
from memcore.ops.matrix.mlstm import mlstm as mlstm
from memcore.ops.semiring.log_sum_exp import log_sum_exp as log_sum_exp
from memcore.ops.semiring.max_plus import max_plus as max_plus
from memcore.ops.semiring.softmax import softmax as softmax
from memcore.ops.window.causal_convolution import causal_convolution as causal_convolution
from memcore.ops.window.window_attention import window_attention as window_attention

__all__ = [
    "causal_convolution",
    "delta_product",
    "delta_rule",
    "dense_recurrence",
    "dplr_delta_rule",
    "lact",
    "linear_attention",
    "linear_recurrence",
    "log_sum_exp",
    "max_plus",
    "memora",
    "mlstm",
    "moneta",
    "neural_memory",
    "omega",
    "rotation",
    "softmax",
    "window_attention",
    "yaad",
]
