"""The Recurrent Memory Transformer, Bulatov et al. 2022, arXiv:2207.06881: memory tokens."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.reference import float64


def layer_norm(p: Any, x: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * p["scale"] + p["bias"]


def gelu(z: Any) -> Any:
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def turned(x: Any, place: int) -> Any:
    """Pairs ``(j, j + K/2)`` of ``x (K,)`` as complex numbers, times ``exp(i place 10000^(-2j/K))``."""
    half = len(x) // 2
    z = (x[:half] + 1j * x[half:]) * np.exp(1j * place * 10000.0 ** (-np.arange(half) / half))
    return np.concatenate([z.real, z.imag])


def layers(p: Any, rows: Any, sees: Any, places: Any, older: Any, heads: int) -> Any:
    """``rows (R, D)``, of which row i sees row j if ``sees[i][j]``, and if ``sees[i][R]`` the ``older`` ones
    of each layer, ``(key, value, place)`` each: ``(rows, such items of every row by layer)``."""
    h, kept = np.array(rows), []
    for i in range(sum(name.startswith("layer_") for name in p)):
        q = p[f"layer_{i}"]
        n = layer_norm(q["norm"], h)
        query, key, value = (n @ q["attention"][x]["kernel"] for x in ("query", "key", "value"))
        items = [(key[r], value[r], places[r]) for r in range(len(h))]
        kept.append(items)
        read = np.zeros_like(h)
        for r in range(len(h)):
            seen = [items[j] for j in range(len(h)) if sees[r][j]]
            seen += older[i] if older and sees[r][len(h)] else []
            for own in np.split(np.arange(h.shape[1]), heads):
                now = turned(query[r, own], places[r])
                scores = [now @ turned(k[own], at) / np.sqrt(len(own)) for k, _, at in seen]
                shares = np.exp(np.array(scores) - max(scores))
                read[r, own] = shares / shares.sum() @ np.array([v[own] for _, v, _ in seen])
        h = h + read @ q["attention"]["output"]["kernel"]
        z = layer_norm(q["mlp_norm"], h) @ q["mlp"]["up"]["kernel"] + q["mlp"]["up"]["bias"]
        h = h + gelu(z) @ q["mlp"]["down"]["kernel"] + q["mlp"]["down"]["bias"]
    return layer_norm(p["norm"], h), kept


def piece(p: Any, xs: Any, memories: list[Any], older: Any, model: memcore.RMT) -> tuple[Any, ...]:
    """``(ys, the next memory, the tokens' items)`` of ``[read of each memory; xs; write]``."""
    m, last, n = model.memory_tokens, memories[-1], len(xs)
    rows, kinds = [], []  # (kind, age or place, index)
    for back, memory in enumerate(reversed(memories)):
        own = memory + (p["read"]["embedding"] if model.separate else 0)
        own = own + (p["age"]["embedding"][model.past - back] if model.past else 0)
        rows += list(own)
        kinds += [("read", -back, j) for j in range(m)]
    for t, x in enumerate(xs):
        rows.append(x + (p["position"]["embedding"][t] if model.position == "learned" else 0))
        kinds.append(("token", t, 0))
    write = p["write"]["embedding"] + last * model.write_to_write if model.separate else last
    rows += list(write)
    kinds += [("write", 0, j) for j in range(m)]

    def sees(a: Any, b: Any) -> bool:
        before = b[2] <= a[2] or not model.causal_memory
        if a[0] == "read":
            if b[0] != "read" or (model.mask_future and b[1] > a[1]):
                return False
            return before or a[1] != b[1]
        if a[0] == "token":
            return b[0] == "read" or b[0] == "token" and (b[1] <= a[1] or not model.causal)
        return b[0] != "write" or before

    allowed = [[*(sees(a, b) for b in kinds), a[0] != "read"] for a in kinds]
    places = [a[1] if a[0] == "token" and model.position == "rope" else 0 for a in kinds]
    h, kept = layers(p, rows, allowed, places, older, model.heads)
    tokens = slice(len(rows) - m - n, len(rows) - m)
    back = n if model.position == "rope" else 0
    items = [[(k, v, at - back) for k, v, at in layer[tokens]] for layer in kept]
    return h[tokens], h[-m:], items


def rmt(
    params: Any, xs: Any, starts: Any, model: memcore.RMT, valid: Any = None, phase: int = 0
) -> Any:
    """xs (T, D) -> ys (T, D) from a place of the grid: segment by segment, and in it piece by piece.

    Padding has its places, and is no token of a piece.
    """
    p, xs = float64(params), float64(xs)
    ys, used = np.zeros_like(xs), np.ones(len(xs), bool) if valid is None else valid
    first = 0 * p["read"]["embedding"] if model.separate else p["memory"]["embedding"]
    memories, older = [first], None
    for border in range(-phase, len(xs), model.segment):
        first_step, end = max(border, 0), min(border + model.segment, len(xs))
        begins = [t for t in range(first_step, end) if starts is not None and starts[t]]
        cuts = sorted({first_step, *begins, end})
        for a, b in zip(cuts[:-1], cuts[1:], strict=True):
            if a in begins:
                memories, older = [first], None
            steps = a + np.flatnonzero(used[a:b])
            ys[steps], new, items = piece(p, xs[steps], memories, older, model)
        memories = [*memories, new][-(model.past + 1) :]
        older = items if model.xl else None
    return ys


def _case(name: str, on_jax: bool = False, without: Any = NOT_ASSOCIATIVE, **how: Any) -> ModelCase:
    used: Any = {
        "layers": 2,
        "heads": 2,
        "segment": 3,
        "memory_tokens": 2,
        "mlp_factor": 2.0,
        **how,
    }
    model = memcore.RMT(4, **used)
    return ModelCase(name, model, lambda p, x, s: rmt(p, x, s, model), without, on_jax)


BOTH_WAYS = {**NOT_ASSOCIATIVE, "stream": "it streams by whole segments"}
CASES = [
    _case("rmt", True, layers=1),
    _case("rmt_of_one", segment=1, xl=True, position="rope", layers=1),
    _case("rmt_xl", xl=True, position="rope", causal_memory=True),
    _case("rmt_separate", separate=True, write_to_write=True, horizon=2),
    _case("rmt_past", past=2, position="rope", causal_memory=True, segment=2),
    _case("rmt_past_seen", past=2, mask_future=False, xl=True, separate=True),
    _case("rmt_both_ways", True, BOTH_WAYS, causal=False, layers=1),
    _case("rmt_both_ways_xl", False, BOTH_WAYS, causal=False, xl=True, position="rope", past=1),
]
WRONG = {
    "heads": (lambda: memcore.RMT(10), r"^heads is 4, expected a divisor"),
    "position": (lambda: memcore.RMT(6, heads=2, position="rope"), r"^position is 'rope', which"),
    "write": (lambda: memcore.RMT(8, write_to_write=True), r"^write_to_write is True, expected"),
    "past": (lambda: memcore.RMT(8, past=-1), r"^past is -1, expected an int of at least 0"),
}
