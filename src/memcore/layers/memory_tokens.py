"""Memory tokens: the rows in front of a segment, which read, and those behind it, which write."""

from __future__ import annotations

from memcore import nn
from memcore.backend import Draw, namespace, placed_like, stop_gradient
from memcore.cell import Array, Params, State
from memcore.layers.segment_tokens import context, filled_rows
from memcore.layers.transformer_rows import KeyValues, run_rows

CARRIED = ("memory", "memories", "borders", "xl", "xl_count")
"""What crosses the border between two segments, of what there is."""


def init_memory(draw: Draw, width: int, tokens: int, past: int, separate: bool) -> Params:
    """The memory at starts, or embeddings of read and write rows; of every age if there is a ``past``."""
    shapes = {name: (tokens, width) for name in (("read", "write") if separate else ("memory",))}
    if past:
        shapes["age"] = (past + 1, width)
    return {name: {"embedding": draw.normal(name, shape, 0.02)} for name, shape in shapes.items()}


def first_memory(params: Params, past: int) -> State:
    """What is carried at starts: ``memory (past + 1, m, D)``, the newest last, ``memories`` filled."""
    separate = "read" in params
    first = nn.wide(params["read" if separate else "memory"]["embedding"])
    xp = namespace(first)
    first = xp.zeros_like(first) if separate else first
    none = xp.zeros_like(xp.broadcast_to(first, (past, *first.shape)))
    memory = xp.concat([none, first[None, ...]], axis=0)
    return {"memory": memory, "memories": xp.ones((), dtype=xp.int32)}


def written(params: Params, state: State, add: bool) -> Array:
    """The rows behind a segment: the memory, or embeddings of their own, with the memory if it is to be
    ``add``ed."""
    memory = state["memory"][..., -1, :, :]
    if "write" not in params:
        return memory
    xp = namespace(memory)
    own = xp.astype(params["write"]["embedding"], memory.dtype, copy=False)
    own = placed_like(xp.broadcast_to(own, memory.shape), memory, memory.ndim - 2)
    return own + stop_gradient(memory) if add else own


def next_memory(state: State, new: Array) -> State:
    """What is carried behind a segment: ``new (*batch, m, D)`` is the last memory."""
    xp, memory = namespace(new), state["memory"]
    memory = xp.concat([memory[..., 1:, :, :], new[..., None, :, :]], axis=-3)
    count = xp.minimum(state["memories"] + 1, memory.shape[-3])
    return {"memory": memory, "memories": count}


def read_rows(
    params: Params, carried: State, heads: int, causal: bool, mask_future: bool
) -> KeyValues:
    """Keys and values of the read rows, which see each other and nothing else.

    Rows of an older memory see a newer one's unless ``mask_future``; those of one memory see all of it, or
    if ``causal`` those before them.
    """
    memory = carried["memory"]
    xp, tokens = namespace(memory), memory.shape[-2]
    for name, shape in (("read", (tokens,)), ("age", (memory.shape[-3], 1))):
        if name in params:
            added = xp.astype(params[name]["embedding"], memory.dtype, copy=False)
            memory = memory + xp.reshape(
                added, (*(1,) * (memory.ndim - 1 - len(shape)), *shape, -1)
            )
    *batch, groups, _, width = memory.shape
    rows = xp.reshape(memory, (*batch, groups * tokens, width))
    row = xp.arange(rows.shape[-2], dtype=xp.int32)
    age = row // tokens
    seen = age[:, None] >= age[None, :] if mask_future else row[:, None] >= -row[None, :]
    if causal:
        seen = seen & ((age[:, None] != age[None, :]) | (row[:, None] >= row[None, :]))
    own = filled_rows(carried)[..., None, :] & seen
    return run_rows(params, rows, [], own, heads)[1]


def write_rows(params: Params, state: State, inputs: Array, heads: int, causal: bool) -> Array:
    """What rows ``inputs (*batch, m, D)`` behind a segment say: the next memory."""
    xp, tokens = namespace(inputs), inputs.shape[-2]
    row = xp.arange(tokens, dtype=xp.int32)
    own = row[:, None] >= (row if causal else -row)
    return run_rows(params, inputs, context(state), own, heads)[0]
