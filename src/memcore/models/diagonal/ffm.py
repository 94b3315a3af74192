"""Fast and Forgetful Memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw, namespace
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import count, flag, number
from memcore.nn import wide
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.rule import RuleCell
from memcore.registry import register
from memcore.types import Dtype, Reads

LENGTH = 1024  # of the longest period and of the slowest trace, which is then 0.01
LIMIT = math.log(float(np.finfo(np.float64).max)) / LENGTH - 0.02


@register("ffm")
@dataclass(frozen=True)
class FFM(RuleCell):
    """Traces that fade, each in several rotating contexts.

        gamma_mc = exp(-|alpha_m| + i omega_c)
        S_t = gamma * S_{t-1} + (W_pre x_t + b) * sigmoid(W_in x_t + b),   the same in every context
        z_t = W_mix (Re S_t, Im S_t) + b,   g_t = sigmoid(W_out x_t + b)
        y_t = norm(z_t * g_t) + (1 - g_t) * (W_skip x_t + b)

    State: ``(re, im)``, each ``(traces, contexts)``: ``gamma^(t - s)`` times what step s wrote, so the time
    since a step, and since a start, is in the state, and a sequence may be cut anywhere. Cost per step
    ``O(traces * contexts * in_features)``; parallel over time in ``O(log T)`` rounds.

    Source: Morad et al., Reinforcement Learning with Fast and Forgetful Memory, arXiv:2310.04128; initial
    values, the norm (without weights) and its place as in the authors' code (``proroklab/ffm``).

    Args:
        in_features: width of inputs and outputs.
        traces: number of decays.
        contexts: number of frequencies.
        norm_first: whether the norm acts before the gate: ``norm(z_t) * g_t``.
        eps: of the norm.
    """

    traces: int = count(32)
    contexts: int = count(4)
    norm_first: bool = flag(False)
    eps: float = number(1e-5, above=0)

    @property
    def rule(self) -> LinearRecurrence:
        return LinearRecurrence(rank=2)

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, d, m, c = as_draw(key, dtype), self.in_features, self.traces, self.contexts
        widths = {
            "pre": (d, m), "input_gate": (d, m), "mix": (2 * m * c, d), "output_gate": (d, d), "skip": (d, d),
        }  # fmt: skip
        alpha, period = np.linspace(LIMIT, -math.log(0.01) / LENGTH, m), np.linspace(1, LENGTH, c)
        return {
            "alpha": draw.array(alpha, label="recurrence"),
            "omega": draw.array(2 * math.pi / period, label="recurrence"),
            **{n: nn.uniform_dense(draw, n, *size, bias=True) for n, size in widths.items()},
        }

    def initial_state(self, params: Params) -> State:
        return tuple(np.zeros((self.traces, self.contexts)) for _ in range(2))

    def embed(self, params: Params, x: Array) -> Inputs:
        pre = wide(nn.linear(params["pre"], x) * nn.sigmoid(nn.linear(params["input_gate"], x)))
        xp = namespace(pre)
        alpha, omega = (xp.astype(params[n], pre.dtype, copy=False) for n in ("alpha", "omega"))
        radius = xp.exp(-xp.abs(alpha))[:, None]
        shape = (*(1,) * (x.ndim - 1), self.traces, self.contexts)
        a = tuple(xp.reshape(radius * wave, shape) for wave in (xp.cos(omega), xp.sin(omega)))
        b = xp.broadcast_to(pre[..., None], (*pre.shape, self.contexts))
        return {"a": a, "b": (b, xp.zeros_like(b)), "x": x}

    def output(self, params: Params, read: Reads, inputs: Inputs) -> Array:
        x = inputs["x"]
        xp = namespace(x)
        flat = nn.merge_heads(xp.concat(read, axis=-1))
        z = nn.linear(params["mix"], flat)
        gate = nn.sigmoid(nn.linear(params["output_gate"], x))
        y = self._norm(z) * gate if self.norm_first else self._norm(z * gate)
        return y + (1 - gate) * nn.linear(params["skip"], x)

    def _norm(self, z: Array) -> Array:
        return nn.layer_norm({"scale": namespace(z).ones(z.shape[-1:], dtype=z.dtype)}, z, self.eps)
