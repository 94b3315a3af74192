"""The open segment of a Transformer on a grid: its tokens as a cache of keys and values, with starts in it.

A state holds ``memory`` and ``memories``, how many are filled; ``tokens``, the keys and values of the open
segment, those that are filled first, ``count`` of them; ``read`` and perhaps ``xl``, what its tokens see
besides; and ``y``, the last output.
"""

from __future__ import annotations

from memcore import nn
from memcore.backend import namespace, stop_gradient, tree_map
from memcore.cell import Array, Params, Starts, State
from memcore.engine.resets import segments, select
from memcore.layers.transformer_rows import KeyValues, Seen, rotate, run_rows


def emptied(read: KeyValues, width: int, segment: int) -> State:
    """An open segment without a token: ``{"tokens", "count", "y"}``, behind ``read``."""
    xp = namespace(read["k"])

    def empty(x: Array) -> Array:
        one = xp.zeros_like(x[..., :1, :])
        return xp.zeros_like(xp.broadcast_to(one, (*x.shape[:-2], segment, x.shape[-1])))

    one = read["k"][..., 0, 0, 0, :1]
    return {
        "tokens": tree_map(empty, read),
        "count": xp.zeros_like(one[..., 0], dtype=xp.int32),
        "y": xp.zeros_like(xp.broadcast_to(one, (*one.shape[:-1], width))),
    }


def filled_rows(carried: State) -> Array:
    """Which of the read rows, oldest first, stand for a memory: ``(*batch, memories * tokens)``."""
    xp, (most, tokens) = namespace(carried["memory"]), carried["memory"].shape[-3:-1]
    age = xp.arange(most * tokens, dtype=xp.int32) // tokens
    return age >= most - carried["memories"][..., None]


def context(state: State) -> list[Seen]:
    """All that stands in a state, with masks ``(*batch, 1, N)``."""
    seen = [(state["read"], filled_rows(state)[..., None, :])]
    for name, count in (("tokens", "count"), ("xl", "xl_count")):
        if name in state:
            kv, xp = state[name], namespace(state[count])
            place = xp.arange(kv["k"].shape[-2], dtype=xp.int32)
            seen.append((kv, (place < state[count][..., None])[..., None, :]))
    return seen


def run_tokens(
    params: Params, xs: Array, state: State, fresh: State, begins: Starts, used: Array, *,
    heads: int, causal: bool, rotary: bool,
) -> tuple[State, Array]:  # fmt: skip
    """Tokens ``xs (*batch, R, D)`` of one segment: ``(state, out (*batch, R, D))``.

    ``begins`` are the starts or None, ``used`` the tokens that count, both ``(*batch, R)``. A start inside
    begins another piece of the segment, which stands behind the ``fresh`` state's read rows. Tokens see those
    of their own piece, up to themselves if ``causal``; the last piece is what the state keeps.
    """
    xp = namespace(xs)
    piece = xp.zeros_like(used, dtype=xp.int32) if begins is None else segments(begins)
    first, last, row = piece == 0, piece == piece[..., -1:], xp.arange(xs.shape[-2])
    own = (piece[..., :, None] == piece[..., None, :]) & used[..., None, :]
    past = own & (row[:, None] > row)
    place = xp.sum(xp.astype(past, xp.int32), axis=-1, dtype=xp.int32)
    place = place + xp.where(first, state["count"][..., None], xp.zeros_like(place))

    seen = [(kv, mask & first[..., None]) for kv, mask in context(state)]
    if begins is not None:
        behind = filled_rows(fresh)[..., None, :] & ~first[..., None]
        seen += [(fresh["read"], behind)]
    if "position" in params:
        index = xp.minimum(place, params["position"]["embedding"].shape[0] - 1)
        xs = xs + nn.embed(params["position"], index, xs.dtype)
    own = past | (own & (row[:, None] == row)) if causal else own
    out, kv = run_rows(params, xs, seen, own, heads, place if rotary else None)

    entered = state if begins is None else select(first[..., -1], state, fresh)
    return _kept(entered, kv, out, place, used & last), out


def _kept(entered: State, kv: KeyValues, out: Array, place: Array, keep: Array) -> State:
    """The state with the rows that are to ``keep (*batch, R)`` at their places."""
    xp, segment = namespace(out), entered["tokens"]["k"].shape[-2]
    count = entered["count"] + xp.sum(xp.astype(keep, xp.int32), axis=-1, dtype=xp.int32)
    final = keep & (place == count[..., None] - 1)
    y = put(entered["y"][..., None, :], out, final[..., None, :])[..., 0, :]
    into = places(place, keep, segment)[..., None, None, :, :]
    tokens = {name: put(old, kv[name], into) for name, old in entered["tokens"].items()}
    return {**entered, "tokens": tokens, "count": count, "y": y}


def places(place: Array, keep: Array, segment: int) -> Array:
    """Which of the rows to ``keep (*batch, R)`` stands at which place: ``(*batch, segment, R)``."""
    slot = namespace(place).arange(segment, dtype=place.dtype)
    return (place[..., None, :] == slot[:, None]) & keep[..., None, :]


def put(old: Array, new: Array, into: Array) -> Array:
    """``old (..., N, K)`` with rows of ``new (..., R, K)`` at the places that ``into (..., N, R)`` says."""
    # A select and a sum with one term: exact, and what is left out may be anything.
    xp = namespace(new)
    new = xp.where(xp.any(into, axis=-2)[..., None], new, xp.zeros_like(new))
    return xp.where(xp.any(into, axis=-1)[..., None], xp.astype(into, new.dtype) @ new, old)


def moved(state: State, rotary: bool) -> KeyValues:
    """The tokens' keys and values for the segment behind them, as constants: at places below 0."""
    k, v = state["tokens"]["k"], state["tokens"]["v"]
    if rotary:
        k = rotate(k, -state["count"][..., None, None, None])
    return {"k": stop_gradient(k), "v": stop_gradient(v)}
