"""The decaying log-sum-exp memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw, namespace, outer
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.layers.heads import KeyValueHeads, init_heads, project_heads
from memcore.nn import wide
from memcore.ops.floor import FLOOR
from memcore.ops.rule import RuleCell
from memcore.ops.semiring.log_sum_exp import LogSumExp
from memcore.registry import register
from memcore.types import Dtype


@register("dlse")
@dataclass(frozen=True)
class DLSE(KeyValueHeads, RuleCell):
    """A matrix of keys and values whose writes add up under an exponential: between a sum and a maximum.

        phi(x) = elu(x) + 1;   k, v = phi(W_k x_t), phi(W_v x_t);   q = W_q x_t
        S_t = log(exp(S_{t-1} + g) + exp(k v^T)),   g = -exp(log_rate), per key channel
        y_t = W_o (S_t^T q / |S_t|),   |S|^2 = 1e-6 + the sum of a head's squares

    State: S, ``(heads * key_size * value_size,)``; empty is the finite -1e38. Cost per step
    ``O(heads * key_size * value_size)``; parallel over time in chunks, inside which ``k v^T`` is made.

    Source: `memax.DLSE`; there is no paper. Differs from it: there a matrix that begins as the identity
    multiplies S, which is no decay of a sum under an exponential, and the empty state is the identity
    matrix, which counts as a write. Decays begin uniform in [0.9, 0.999]; they and the heads are ours.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads.
        key_size: K per head; ``in_features / heads`` if None.
        value_size: V per head; ``in_features / heads`` if None.
    """

    @property
    def rule(self) -> LogSumExp:
        return LogSumExp()

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw = as_draw(key, dtype)
        shape = (self.heads, self.sizes[0])
        decay = draw.uniform("log_rate", shape, 0.9, 0.999, label="recurrence")
        xp = namespace(decay)
        heads = init_heads(draw, self.in_features, self.heads, self.sizes)
        return {**heads, "log_rate": xp.log(-xp.log(decay))}

    def initial_state(self, params: Params) -> State:
        k, v = self.sizes
        return np.full(self.heads * k * v, FLOOR)

    def embed(self, params: Params, x: Array) -> Inputs:
        u = {name: wide(value) for name, value in project_heads(params, x, self.heads).items()}
        return {**u, "k": nn.elu_plus_one(u["k"]), "v": nn.elu_plus_one(u["v"])}

    def rule_inputs(self, params: Params, inputs: Inputs) -> Inputs:
        k, v = inputs["k"], inputs["v"]
        xp = namespace(k)
        written = outer(k, v)
        decay = -xp.exp(xp.astype(params["log_rate"], k.dtype, copy=False))[..., None]
        shape = (*k.shape[:-2], self.heads * k.shape[-1] * v.shape[-1])
        both = {"x": written, "log_decay": xp.broadcast_to(decay, written.shape)}
        return {name: xp.reshape(x, shape) for name, x in both.items()}

    def read(self, params: Params, state: State, inputs: Inputs) -> Array:
        xp, q = namespace(state), inputs["q"]
        # An empty memory, at padding before the first input, has neither an overflow nor a gradient.
        state = xp.where(state > FLOOR / 2, state, xp.zeros_like(state))
        flat = nn.l2_normalise(nn.split_heads(state, self.heads))
        memory = xp.reshape(flat, (*flat.shape[:-1], *self.sizes))
        return (q[..., None, :] @ memory)[..., 0, :]

    def output(self, params: Params, read: Array, inputs: Inputs) -> Array:
        return nn.linear(params["output"], nn.merge_heads(read))
