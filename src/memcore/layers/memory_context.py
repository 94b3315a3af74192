"""A memory as the context of attention inside a segment: a token, or all rows of a segment at once."""

from __future__ import annotations

from memcore import nn
from memcore.backend import Draw, asarray_like, namespace
from memcore.cell import Array, Inputs, Params, State
from memcore.layers.heads import project_heads
from memcore.layers.neural_weights import GATES, init_neural
from memcore.layers.transformer_rows import guarded, rotate, shares, side_by_side

MAPS = ("k", "v", "said_k", "said_v")
"""What a segment keeps of each token, and of what the memory said to it: ``(*batch, H, segment, D)``."""


def init_memory(draw: Draw, width: int, heads: int, widths: list[int]) -> Params:
    """A neural memory of ``widths`` per head without convolutions."""
    maps = ("query", "key", "value", "output")
    return {
        **{name: nn.dense(draw, name, width, width) for name in maps},
        **init_neural(draw, width, heads, widths),
        "norm": {"scale": draw.ones((widths[-1],))},
    }


def ask(params: Params, u: Array, heads: int) -> Array:
    """Queries of norm 1, ``(..., H, D)``."""
    return nn.l2_normalise(nn.split_heads(nn.silu(nn.linear(params["query"], u)), heads))


def said(params: Params, found: Array) -> Array:
    """What a memory says whose weights gave ``found (..., H, D)`` to queries: ``(..., width)``."""
    return nn.linear(params["output"], nn.merge_heads(nn.rms_norm(params["norm"], found)))


def written(params: Params, y: Array, heads: int, rate: float) -> Inputs:
    """What the memory is given to write: keys of norm 1, values and gates."""
    k, v = (nn.split_heads(nn.silu(nn.linear(params[n], y)), heads) for n in ("key", "value"))
    gates = {n: nn.sigmoid(nn.linear(params[n], y)) for n in GATES}
    return {"k": nn.l2_normalise(k), "v": v, **gates, "rate": rate * gates["rate"]}


def token_rows(params: Params, u: Inputs, h: Array, place: Array, heads: int) -> State:
    """`MAPS` of R tokens ``(*batch, H, R, D)``, their keys turned by their ``place (*batch, R)``.

    ``u`` are the tokens' own, ``(*batch, R, H, D)``, and ``h (*batch, R, width)`` what was said to them.
    """
    xp, own = namespace(h), project_heads(params, h, heads)
    named = {"k": u["k"], "v": u["v"], "said_k": own["k"], "said_v": own["v"]}
    rows = {name: xp.moveaxis(x, -2, -3) for name, x in named.items()}
    at = place[..., None, :]
    return {**rows, **{name: rotate(rows[name], at) for name in ("k", "said_k")}}


def attend(
    q: Array, place: Array, seen: list[tuple[State, Array]], persistent: dict[str, Array]
) -> Array:
    """``q (*batch, R, H, D)`` at places ``(*batch, R)`` over the persistent tokens ``(N, H, D)``, and what
    each row is let see of others' `MAPS` by masks ``(*batch, R, N)``: ``(*batch, R, H D)``."""
    xp, q = namespace(q), namespace(q).moveaxis(q, -2, -3) * q.shape[-1] ** -0.5
    own_k, own_v = (xp.moveaxis(asarray_like(persistent[n], q), -2, -3) for n in ("k", "v"))
    named = (("said_k", "k"), ("said_v", "v"))
    k, v = (
        xp.concat([rows[name] for rows, _ in seen for name in names], axis=-2) for names in named
    )
    k, v = guarded(k, v)
    n, like = own_k.shape[-2], q[..., 0, :, :]
    masks = [xp.ones_like(like[..., :1, :1], dtype=xp.bool)] * n
    masks += [mask for _, mask in seen for _ in range(2)]
    scores = xp.concat([q @ own_k.mT, rotate(q, place[..., None, :]) @ k.mT], axis=-1)
    part = shares(scores, side_by_side(masks, like)[..., None, :, :])
    out = part[..., :n] @ own_v + part[..., n:] @ v
    return nn.merge_heads(xp.moveaxis(out, -3, -2))
