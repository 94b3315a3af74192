"""Gated DeltaNet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from memcore import nn, ops
from memcore.backend import as_draw, namespace
from memcore.cell import Array, Model, Params, State
from memcore.engine.call import Call
from memcore.engine.checks import is_count
from memcore.nn import wide
from memcore.ops.matrix.delta_rule import DeltaRule
from memcore.ops.window.causal_convolution import CausalConvolution
from memcore.registry import register

CONVOLVED = ("query", "key", "value")


@register("gated_delta_net")
@dataclass(frozen=True)
class GatedDeltaNet(Model):
    """The gated delta rule with short convolutions and an output gate.

        q, k, v = silu(conv(W_q x)), silu(conv(W_k x)), silu(conv(W_v x));   q, k of norm 1
        a_t = exp(-exp(A_log) softplus(W_a x_t + dt_bias)),   b_t = sigmoid(W_b x_t)
        S_t = a_t (I - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T
        y_t = W_o (RMSNorm(S_t^T q_t / sqrt(K)) * silu(W_g x_t))

    State: ``memory (heads, K, V)``, and ``conv``, the last ``conv_size - 1`` inputs of the convolutions
    (those of queries, keys and values side by side) with their flags. Cost per step ``O(heads * K * V)``;
    parallel over time in chunks.

    Source: Yang et al., Gated Delta Networks, arXiv:2412.06464; chunks as in arXiv:2406.06484;
    negative eigenvalues: Grazzi et al., arXiv:2411.12537.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads.
        key_size: K per head; ``in_features / heads`` if None.
        value_size: V per head; ``in_features / heads`` if None (the paper doubles it).
        conv_size: length of the convolutions, at least 2.
        negative_eigenvalues: whether b is ``2 sigmoid``: eigenvalues of the transition in (-1, 1), which
            tracks states such as parity.
    """

    heads: int = 4
    key_size: int | None = None
    value_size: int | None = None
    conv_size: int = 4
    negative_eigenvalues: bool = False

    label_names: ClassVar[dict[str, str]] = {f"{name}_conv": "matrix" for name in CONVOLVED}

    def __post_init__(self) -> None:
        super().__post_init__()
        nn.head_sizes(self)
        if not is_count(self.conv_size) or self.conv_size < 2:
            raise ValueError(f"conv_size is {self.conv_size!r}, expected an int of at least 2")

    def recurrences(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        for rule in (CausalConvolution(length=self.conv_size - 1), DeltaRule()):
            yield prefix + rule.rule_name, rule

    def init(self, key: Any, dtype: Any = "float32") -> Params:
        draw, width = as_draw(key, dtype), self.in_features
        k, v = nn.head_sizes(self)
        widths = {"query": self.heads * k, "key": self.heads * k, "value": self.heads * v}
        bound = 1 / math.sqrt(self.conv_size)
        convolutions = {
            f"{name}_conv": {
                "kernel": draw.uniform(f"{name}_conv", (self.conv_size, size), -bound, bound)
            }
            for name, size in widths.items()
        }
        a = draw.uniform("A_log", (self.heads,), 1.0, 16.0)
        log_dt = draw.uniform("dt_bias", (self.heads,), math.log(1e-3), math.log(1e-1))
        xp = namespace(a)
        return {
            **{name: nn.dense(draw, name, width, size) for name, size in widths.items()},
            **convolutions,
            "gate": nn.dense(draw, "gate", width, self.heads * v),
            "beta": nn.dense(draw, "beta", width, self.heads),
            "decay": nn.dense(draw, "decay", width, self.heads),
            "A_log": xp.log(a),
            "dt_bias": xp.log(xp.expm1(xp.exp(log_dt))),
            "norm": {"scale": draw.ones((v,))},
            "output": nn.dense(draw, "output", self.heads * v, width),
        }

    def initial_state(self, params: Params) -> State:
        k, v = nn.head_sizes(self)
        window = self.conv_size - 1
        return {
            "memory": np.zeros((self.heads, k, v)),
            "conv": (np.zeros((window, self.heads * (2 * k + v))), np.zeros(window, dtype=bool)),
        }

    def _apply(self, params: Params, xs: Array, state: State, call: Call) -> tuple[Any, ...]:
        conv, qk, v = self._convolved(params, xs, state["conv"], call)
        beta, log_decay = self._gates(params, xs)
        qk, scale = nn.l2_normalise(wide(qk)), qk.shape[-1] ** -0.5
        q, k = qk[..., : self.heads, :], qk[..., self.heads :, :]
        memory, out = ops.delta_rule(
            q, k, wide(v), beta, log_decay, state["memory"], scale=scale, **call.options
        )
        out = namespace(xs).astype(out, xs.dtype, copy=False)
        gate = nn.split_heads(nn.linear(params["gate"], xs), self.heads)
        out = nn.rms_norm(params["norm"], out) * nn.silu(gate)
        after = {"memory": memory, "conv": conv}
        return after, nn.linear(params["output"], nn.merge_heads(out))

    def _convolved(
        self, params: Params, xs: Array, state: State, call: Call
    ) -> tuple[State, Array, Array]:
        """Queries and keys ``(..., T, 2 heads, K)``, values ``(..., T, heads, V)``: one convolution."""
        xp = namespace(xs)
        kernels = [
            xp.concat([params[f"{part}{end}"]["kernel"] for part in CONVOLVED], axis=-1)
            for end in ("", "_conv")
        ]
        u = nn.linear({"kernel": kernels[0]}, xs)
        state, u = ops.causal_convolution(u, kernels[1], state, **call.options)
        (k, _), u = nn.head_sizes(self), nn.silu(u)
        qk, v = u[..., : 2 * self.heads * k], u[..., 2 * self.heads * k :]
        return state, nn.split_heads(qk, 2 * self.heads), nn.split_heads(v, self.heads)

    def _gates(self, params: Params, xs: Array) -> tuple[Array, Array]:
        """Writing strengths and log decays ``(..., T, heads)``, in the dtype of the state."""
        beta = nn.sigmoid(wide(nn.linear(params["beta"], xs)))
        raw = wide(nn.linear(params["decay"], xs))
        xp = namespace(raw)
        a_log, dt_bias = (xp.astype(params[n], raw.dtype, copy=False) for n in ("A_log", "dt_bias"))
        log_decay = -xp.exp(a_log) * nn.softplus(raw + dt_bias)
        return (2.0 * beta if self.negative_eigenvalues else beta), log_decay
