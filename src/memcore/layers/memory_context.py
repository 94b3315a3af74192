"""A memory as the context of attention inside a segment, one token at a time."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import Draw, asarray_like, namespace
from memcore.cell import Array, Cell, Inputs, Params, State
from memcore.fields import count, number
from memcore.layers.heads import project_heads
from memcore.layers.neural_weights import GATES, init_neural, layer_widths
from memcore.ops.inner.neural_memory import NeuralMemoryRule
from memcore.ops.window.positions import check_position, rope

MAPS = ("k", "v", "said_k", "said_v")
"""What a segment keeps of each token, and of what the memory said to it."""


@dataclass(frozen=True)
class SegmentMemory(Cell):
    """Attention with rotary positions beside a neural memory, with the same heads."""

    heads: int = count(4)
    depth: int = count(2)
    hidden_size: int | None = count(None)
    rate: float = number(0.01, above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_position("rope", self.size)

    @property
    def size(self) -> int:
        """D."""
        return self.widths[0]

    @property
    def widths(self) -> list[int]:
        """Of the memory's layers, from D to D."""
        return layer_widths(self.in_features, self.heads, self.depth, self.hidden_size)


def init_memory(draw: Draw, width: int, heads: int, widths: list[int]) -> Params:
    """A neural memory of ``widths`` per head without convolutions."""
    maps = ("query", "key", "value", "output")
    return {
        **{name: nn.dense(draw, name, width, width) for name in maps},
        **init_neural(draw, width, heads, widths),
        "norm": {"scale": draw.ones((widths[-1],))},
    }


def ask(params: Params, u: Array, heads: int) -> Array:
    """Queries of norm 1, ``(..., heads, D)``."""
    return nn.l2_normalise(nn.split_heads(nn.silu(nn.linear(params["query"], u)), heads))


def said(params: Params, rule: NeuralMemoryRule, weights: tuple[Array, ...], asked: Array) -> Array:
    """What a memory with these weights gives to queries, ``(..., width)``."""
    found = nn.rms_norm(params["norm"], rule.read({}, {"weights": weights}, {"q": asked}))
    return nn.linear(params["output"], nn.merge_heads(found))


def written(params: Params, y: Array, heads: int, rate: float) -> Inputs:
    """What the memory is given to write: keys of norm 1, values and gates."""
    k, v = (nn.split_heads(nn.silu(nn.linear(params[n], y)), heads) for n in ("key", "value"))
    gates = {n: nn.sigmoid(nn.linear(params[n], y)) for n in GATES}
    return {"k": nn.l2_normalise(k), "v": v, **gates, "rate": rate * gates["rate"]}


def append(params: Params, segment: State, inputs: Inputs, said: Array, heads: int) -> State:
    """The segment with one token more, and what the memory said to it; the newest is last."""
    xp, axis = namespace(said), segment["filled"].ndim - 1
    rest = (slice(None),) * axis + (slice(1, None), ...)
    own = project_heads(params, said, heads)
    new = {"k": inputs["k"], "v": inputs["v"], "said_k": own["k"], "said_v": own["v"]}
    new["filled"] = xp.ones_like(segment["filled"][..., 0])
    return {
        name: xp.concat([segment[name][rest], xp.expand_dims(x, axis=axis)], axis=axis)
        for name, x in new.items()
    }


def attend(q: Array, segment: State, persistent: dict[str, Array]) -> Array:
    """``q (..., H, K)`` of the newest token over the persistent tokens ``(N, H, *)`` and the filled places
    of the segment: ``(..., H V)``."""
    xp = namespace(q)
    k, v, said_k, said_v = (xp.moveaxis(segment[name], -2, -3) for name in MAPS)
    own_k, own_v = (xp.moveaxis(asarray_like(persistent[n], q), -2, -3) for n in ("k", "v"))
    last, q = k.shape[-2] - 1, q[..., None, :] * q.shape[-1] ** -0.5
    turned = rope(q, last)
    floor = xp.asarray(float(xp.finfo(q.dtype).min) / 2, dtype=q.dtype)
    filled = segment["filled"][..., None, None, :]
    scores = [xp.where(filled, turned @ rope(x, 0).mT, floor) for x in (said_k, k)]
    shares = nn.softmax(xp.concat([q @ own_k.mT, *scores], axis=-1))
    n, places = own_v.shape[-2], last + 1
    out = shares[..., :n] @ own_v + shares[..., n : n + places] @ said_v
    return nn.merge_heads((out + shares[..., n + places :] @ v)[..., 0, :])
