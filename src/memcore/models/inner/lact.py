"""LaCT."""

from __future__ import annotations

import math
from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.fields import count, flag, number
from memcore.layers.heads import head_size
from memcore.nn import wide
from memcore.ops.inner.lact import LaCTRule
from memcore.ops.window.positions import check_position
from memcore.ops.window.window_attention import WindowAttention
from memcore.registry import register
from memcore.types import Dtype

NAMES = ("query", "key", "value")


@register("lact")
@dataclass(frozen=True)
class LaCT(Model):
    """A gated MLP per head, trained once per chunk on all of it, beside attention over a window.

        q, k, v = W x_t, a W for each;   q', k', v' = silu(a_q * q + b_q), silu(a_k * k + b_k), silu(v)
        f(x) = w1 (silu(w0 x) * (w2 x));   eta_t (3,) = softplus, mu_t = sigmoid of linear maps of x_t
        y_t = W_o (attention(q, k, v)_t + RMSNorm(f(q'_t)) * silu(W_g x_t))
        at the end of a chunk: G = sum_i eta_i d(f(k'_i) . v'_i)/dw + mean(mu) G;   w = w + G, or w + NS(G)

    with q', k' of norm 1; every row of w gets back the norm that it has at starts. f reads before its chunk
    is written, so inside a chunk only the attention sees what came before: its window should be no shorter.
    State: ``memory``, w ``(heads, F, D)`` or ``(heads, D, F)``, the chunk's sums so far, and with momentum G
    and the chunk's mu; ``attention``, the window's keys and values. Chunks stand on a grid: a start makes w
    initial and does not move it. Cost per step ``O(heads * D * F + window * in_features)``; parallel inside
    a chunk.

    Source: Zhang et al., LaCT, arXiv:2505.23884, and the authors' code, whose chunks are of 2048; here q' and
    k' have no positions (which that code offers), q and k no norm before the attention, the rotary base is
    10000, the last whole chunk is written too, and norms have ``nn``'s small numbers. eta is for w0, w1, w2.

    Args:
        in_features: width of inputs and outputs.
        heads: heads of the memory; D is ``in_features / heads``.
        attention_heads: heads of the attention.
        window: how many inputs the attention sees.
        mini_batch: rows of a chunk. It changes the numbers.
        hidden_size: F; D if None.
        rate: inner learning rate at the beginning.
        momentum: whether G goes on from chunk to chunk.
        muon: whether NS, five rounds of Newton-Schulz, makes orthogonal what is added to w.
        position: of the attention: ``"rope"``, ``"alibi"`` or None.
    """

    heads: int = count(4)
    attention_heads: int = count(4)
    window: int = count(64)
    mini_batch: int = count(64)
    hidden_size: int | None = count(None)
    rate: float = number(0.01, above=0)
    momentum: bool = flag(True)
    muon: bool = flag(False)
    position: str | None = "rope"

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.size
        width, h = self.in_features, self.attention_heads
        if width % h:
            raise ValueError(f"attention_heads is {h}, expected a divisor of in_features {width}")
        check_position(self.position, width // h)

    @property
    def size(self) -> int:
        """D."""
        return head_size(self.in_features, self.heads)

    @property
    def parts(self) -> dict[str, Model]:
        shape = (self.attention_heads, self.in_features // self.attention_heads)
        window = WindowAttention(self.window, self.position)
        rule = LaCTRule(self.size, self.mini_batch, self.momentum, self.muon)
        return {"attention": window.of(q=shape, k=shape, v=shape), "memory": rule}

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width, h, d = as_draw(key, dtype), self.in_features, self.heads, self.size
        f = self.hidden_size or d
        shapes = {"w0": (h, f, d), "w1": (h, d, f), "w2": (h, f, d)}
        gates = {"rate": 3 * h, "gate": h} | ({"momentum": h} if self.momentum else {})
        ones = {n: draw.ones((width,)) for n in "qk"}
        params = {
            **{n: nn.dense(draw, n, width, width) for n in (*NAMES, "output")},
            **{n: nn.dense(draw, n, width, size, bias=True) for n, size in gates.items()},
            **{n: draw.normal(n, s, s[-1] ** -0.5, label="memory") for n, s in shapes.items()},
            **{f"{n}_affine": {"scale": one, "bias": 0 * one} for n, one in ones.items()},
            "norm": {"scale": draw.ones((d,))},
        }
        params["rate"]["bias"] = params["rate"]["bias"] + math.log(math.expm1(self.rate))
        return params

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        plain = {n: nn.linear(params[name], xs) for n, name in zip("qkv", NAMES, strict=True)}
        heads = {n: nn.split_heads(x, self.attention_heads) for n, x in plain.items()}
        seen = nn.merge_heads(run("attention", {}, heads))
        for n in "qk":
            plain[n] = nn.affine(params[f"{n}_affine"], plain[n])
        rows = {n: nn.split_heads(nn.silu(x), self.heads) for n, x in plain.items()}
        rows |= {n: nn.l2_normalise(wide(rows[n])) for n in "qk"}
        rate = nn.softplus(wide(nn.linear(params["rate"], xs)))
        rows["rate"] = nn.split_heads(rate, self.heads)
        if self.momentum:
            rows["momentum"] = nn.sigmoid(wide(nn.linear(params["momentum"], xs)))
        out = run("memory", {n: params[n] for n in ("w0", "w1", "w2")}, rows)
        gate = nn.silu(nn.linear(params["gate"], xs))[..., None]
        out = nn.merge_heads(nn.rms_norm(params["norm"], out) * gate)
        return nn.linear(params["output"], seen + out)
