"""The neural long-term memory of Titans."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.fields import count, flag, number
from memcore.layers.convolved import HEADS, convolved_heads, init_convolved
from memcore.layers.neural_weights import GATES, init_neural, layer_widths
from memcore.layers.short_convolution import ShortConvolution
from memcore.nn import wide
from memcore.ops.inner.neural_memory import NeuralMemoryRule
from memcore.registry import register
from memcore.types import Dtype


@register("neural_memory")
@dataclass(frozen=True)
class NeuralMemory(Model):
    """A map from keys to values per head, trained at every step with momentum and forgetting.

        q, k, v = silu(conv(W_q x)), silu(conv(W_k x)), silu(conv(W_v x));   q, k of norm 1
        eta_t, alpha_t, theta_t / rate = sigmoid(W x_t + b), a W and b for each
        S_t = eta_t S_{t-1} - theta_t gradient of |M(k_t) - v_t|^2,   M_t = (1 - alpha_t) M_{t-1} + S_t
        y_t = W_o (RMSNorm(M_t(q_t)) * silu(W_g x_t))

    with the gradient at M before the mini-batch. M is a linear map (``depth`` 1) or an MLP with silu.
    State: ``memory``, the weights of M, S and, with mini-batches, M before the open one, ``(heads, D, D)``
    or ``(heads, D, hidden_size), ...``; ``conv``, the last inputs of the convolutions. Mini-batches stand
    on a grid. Cost per step ``O(heads * D * hidden_size * depth)``; parallel inside a mini-batch. The
    weights at starts have the label ``"memory"``, so that an optimizer can leave them as they are.
    Rows of equal keys add up: where ``rate * mini_batch`` is large against the weights, descent diverges.
    ``max_grad_norm`` bounds what it then does: a layer moves by ``rate * max_grad_norm / (1 - eta)`` at most.

    Source: Behrouz et al., Titans, arXiv:2501.00663, sections 3.1 to 3.3. Left open there, and chosen here:
    sigmoids for all gates, one number per head each; their biases at the beginning (eta 1/2, alpha 1/50,
    theta half of ``rate``); the residual of M; the gate of the output; the cut of gradients (arXiv:1211.5063;
    titans-pytorch by lucidrains has an option of this name, which clamps the sum over a chunk).

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads; D is ``in_features / heads``.
        depth: layers of M, 1 to 4.
        hidden_size: width between the layers of M; 2 D if None.
        mini_batch: rows whose gradients are taken at the same weights. It changes the numbers; 1 is the exact
            gradient descent.
        conv_size: length of the convolutions, at least 2.
        rate: the largest inner learning rate theta.
        residual: whether ``M(x) = x + MLP(x)``.
        max_grad_norm: what the norm of the gradient of each row and head is cut to; None: it is not.
    """

    heads: int = count(4)
    depth: int = count(2)
    hidden_size: int | None = count(None)
    mini_batch: int = count(8)
    conv_size: int = count(4, least=2)
    rate: float = number(0.1, above=0)
    residual: bool = flag(True)
    max_grad_norm: float | None = number(10.0, above=0, optional=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.widths

    @property
    def widths(self) -> list[int]:
        """Of M's layers, from D to D."""
        return layer_widths(self.in_features, self.heads, self.depth, self.hidden_size)

    @property
    def parts(self) -> dict[str, Model]:
        rule = NeuralMemoryRule(self.widths[0], self.mini_batch, self.residual, self.max_grad_norm)
        return {"conv": ShortConvolution(3 * self.in_features, self.conv_size), "memory": rule}

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width = as_draw(key, dtype), self.in_features
        return {
            **init_convolved(draw, width, dict.fromkeys(HEADS, width), self.conv_size),
            **init_neural(draw, width, self.heads, self.widths),
            "gate": nn.dense(draw, "gate", width, width),
            "norm": {"scale": draw.ones((self.widths[0],))},
            "output": nn.dense(draw, "output", width, width),
        }

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        q, k, v = convolved_heads(params, xs, run, self.heads)
        rate, momentum, forget = (nn.sigmoid(wide(nn.linear(params[n], xs))) for n in GATES)
        gates = {"rate": self.rate * rate, "momentum": momentum, "forget": forget}
        weights = tuple(params["weights"][f"layer_{i}"] for i in range(self.depth))
        out = run("memory", {"weights": weights}, {"q": q, "k": k, "v": v, **gates})
        gate = nn.silu(nn.split_heads(nn.linear(params["gate"], xs), self.heads))
        out = nn.rms_norm(params["norm"], out) * gate
        return nn.linear(params["output"], nn.merge_heads(out))
