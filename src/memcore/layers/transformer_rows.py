"""Rows of a pre-norm Transformer that see keys and values of others, and each other, by masks."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

from memcore import nn
from memcore.backend import Draw, namespace, placed_like
from memcore.cell import Array, Params
from memcore.layers.heads import init_heads, project_heads
from memcore.layers.mlp import init_mlp, mlp

KeyValues: TypeAlias = dict[str, Array]
"""``k`` and ``v`` of every layer: ``(*batch, layers, heads, N, K)``."""
Seen: TypeAlias = tuple[KeyValues, Array]
"""Keys and values, and which rows see them: ``(*batch, R, N)`` bool, or 1 for R."""


def init_rows(draw: Draw, width: int, layers: int, heads: int, hidden: int) -> Params:
    """Parameters of `run_rows`."""

    def norm(draw: Draw, name: str) -> Params:
        own = draw.child(name)
        return {name: {"scale": own.ones((width,)), "bias": own.zeros((width,))}}

    def layer(draw: Draw) -> Params:
        size = width // heads
        return {
            **norm(draw, "norm"),
            "attention": init_heads(draw.child("attention"), width, heads, (size, size)),
            **norm(draw, "mlp_norm"),
            "mlp": init_mlp(draw.child("mlp"), width, hidden),
        }

    names = [f"layer_{i}" for i in range(layers)]
    return {**{name: layer(draw.child(name)) for name in names}, **norm(draw, "norm")}


def run_rows(
    params: Params, h: Array, seen: list[Seen], own: Array, heads: int, places: Array = None
) -> tuple[Array, KeyValues]:
    """All layers of rows ``h (*batch, R, D)``: ``(LN(h), their keys and values)``.

        h = h + Attention(LN(h));   h = h + MLP(LN(h))

    ``own (*batch, R, R)`` says which rows see which. Rows with ``places (*batch, R)`` have their queries and
    keys turned by them; all others stand at place 0.
    """
    xp, found = namespace(h), []
    layers = sum(name.startswith("layer_") for name in params)
    mask = side_by_side([m for _, m in seen] + [own], h)
    for i in range(layers):
        p = params[f"layer_{i}"]
        heads_of = project_heads(p["attention"], nn.layer_norm(p["norm"], h), heads)
        q, k, v = (xp.moveaxis(heads_of[name], -2, -3) for name in "qkv")
        if places is not None:
            q, k = rotate(q, places[..., None, :]), rotate(k, places[..., None, :])
        keys, values = (
            xp.concat([*(kv[name][..., i, :, :, :] for kv, _ in seen), x], axis=-2)
            for name, x in (("k", k), ("v", v))
        )
        read = nn.merge_heads(xp.moveaxis(_attend(q, keys, values, mask), -3, -2))
        h = h + nn.linear(p["attention"]["output"], read)
        h = h + mlp(p["mlp"], nn.layer_norm(p["mlp_norm"], h))
        found.append((k, v))
    kv = {name: xp.stack([x[j] for x in found], axis=-4) for j, name in enumerate("kv")}
    return nn.layer_norm(params["norm"], h), kv


def side_by_side(masks: list[Array], h: Array) -> Array:
    """Masks side by side, of all rows of ``h (*batch, R, ...)``: ``(*batch, R, N)``."""
    xp = namespace(h)
    wide = [xp.broadcast_to(m, (*h.shape[:-1], m.shape[-1])) for m in masks]
    return xp.concat(placed_like(wide, h, h.ndim - 2), axis=-1)


def _attend(q: Array, k: Array, v: Array, mask: Array) -> Array:
    """``q (*batch, H, R, K)`` over those of ``k, v (*batch, H, N, K)`` that ``mask`` lets it see.

    What is not finite is NaN for the rows that see it, and nothing for others: selects alone touch it.
    """
    k, v = guarded(k, v)
    return shares((q @ k.mT) * k.shape[-1] ** -0.5, mask[..., None, :, :]) @ v


def guarded(k: Array, v: Array) -> tuple[Array, Array]:
    """Keys and values ``(..., N, K)``: where a pair is not finite the key is NaN and the value 0."""
    xp = namespace(k)
    good = xp.all(xp.isfinite(k) & xp.isfinite(v), axis=-1)[..., None]
    return xp.where(good, k, xp.full_like(k, float("nan"))), xp.where(good, v, xp.zeros_like(v))


def shares(scores: Array, mask: Array) -> Array:
    """The softmax of ``scores (..., R, N)`` over what ``mask`` lets a row see."""
    xp = namespace(scores)
    floor = xp.asarray(float(xp.finfo(scores.dtype).min) / 2, dtype=scores.dtype)
    return nn.softmax(xp.where(mask, scores, floor))


def rotate(x: Array, places: Array) -> Array:
    """Channel pairs ``(j, j + K/2)`` of ``x (..., R, K)`` turned by ``places (..., R) 10000^(-2j/K)``."""
    xp, half = namespace(x), x.shape[-1] // 2
    frequency = np.exp(-math.log(10000.0) * np.arange(half) / half)
    angle = xp.astype(places, x.dtype)[..., None] * xp.asarray(frequency, dtype=x.dtype)
    cos, sin = xp.cos(angle), xp.sin(angle)
    a, b = x[..., :half], x[..., half:]
    return xp.concat([a * cos - b * sin, a * sin + b * cos], axis=-1)
