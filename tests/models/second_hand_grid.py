"""More references of a second hand: the Titans, the Recurrent Memory Transformer, LaCT and ATLAS.

As in `second_hand`: ``xs (T, d)``, ``starts (T,)`` bool, loops over time and heads, and the choices of the
docstrings where papers leave one open.
"""

from __future__ import annotations

import math

import numpy as np

from models.second_hand import (
    conv_silu,
    episode_begin,
    l2,
    lin,
    memory_grad,
    memory_read,
    neural_memory,
    newton_schulz5,
    rms,
    sigmoid,
    silu,
)

EPS = 1e-6


def scale(p):
    return np.asarray(p["scale"], float)


def rotate(x, place):
    """Pairs (j, j + K/2), turned counter-clockwise by place * 10000^(-2 j / K)."""
    half = len(x) // 2
    turned = [complex(x[j], x[j + half]) for j in range(half)]
    turned = [z * np.exp(1j * place * 1e4 ** (-j / half)) for j, z in enumerate(turned)]
    return np.array([z.real for z in turned] + [z.imag for z in turned])


def attend(q, items, heads):
    """softmax over items, (query, key, value) each: every item says with which query it is compared."""
    out = []
    for h in range(heads):
        part = slice(h * len(q) // heads, (h + 1) * len(q) // heads)
        scores, values = [], []
        for key, value, place in items:
            query, k = q[part], key[part]
            if place is not None:
                query, k = rotate(query, place[0]), rotate(k, place[1])
            scores.append(query @ k / math.sqrt(len(k)))
            values.append(value[part])
        weights = np.exp(np.array(scores) - max(scores))
        out.append(weights @ np.array(values) / weights.sum())
    return np.concatenate(out)


def window_attention(p, xs, starts, heads, window, *, rope=True, output=True):
    """Token t attends to the persistent tokens, without a place, and to the window's tokens."""
    fixed = [(lin(p["key"], u), lin(p["value"], u), None) for u in p.get("persistent", ())]
    ys = []
    for t, begin in enumerate(episode_begin(starts)):
        seen = range(max(begin, t - window + 1), t + 1)
        items = [
            (lin(p["key"], xs[i]), lin(p["value"], xs[i]), (t, i) if rope else None) for i in seen
        ]
        mixed = attend(lin(p["query"], xs[t]), fixed + items, heads)
        ys.append(lin(p["output"], mixed) if output else mixed)
    return np.array(ys)


def gated(p, main, gate):
    main = rms(main, EPS) * scale(p["norm"])
    return main * silu(rms(gate, EPS) * scale(p["gate_norm"]))


def titans_memory(p, xs, starts, heads, mini_batch, rate, depth):
    weights = [p["weights"][f"layer_{i}"] for i in range(depth)]
    p = {**p, "step": p["rate"], "decay": p["forget"], "memory": weights}
    return neural_memory(p, xs, starts, heads, mini_batch, rate, depth, l2_eps=EPS, norm_eps=EPS)


def titans_mag(p, xs, starts, *, heads, window, mini_batch, rate=0.1, depth=2):
    attention = window_attention(p["attention"], xs, starts, heads, window)
    memory = titans_memory(p["memory"], xs, starts, heads, mini_batch, rate, depth)
    return gated(p, attention, memory)


def titans_mal(p, xs, starts, *, heads, window, mini_batch, rate=0.1, depth=2):
    memory = titans_memory(p["memory"], xs, starts, heads, mini_batch, rate, depth)
    return window_attention(p["attention"], memory, starts, heads, window)


def titans_mac(p, xs, starts, *, heads, segment, rate=0.01, depth=2):
    att, mem = p["attention"], p["memory"]
    layers = [np.asarray(mem["weights"][f"layer_{i}"], float) for i in range(depth)]
    first = [[w[h] for w in layers] for h in range(heads)]
    zero = [[0 * w for w in ws] for ws in first]

    def split(x):
        return np.reshape(x, (heads, -1))

    def says(m, u):
        q = l2(split(silu(lin(mem["query"], u))), EPS)
        read = [memory_read(m[h], q[h], True)[0] for h in range(heads)]
        return lin(mem["output"], np.concatenate([rms(r, EPS) * scale(mem["norm"]) for r in read]))

    def item(u, place):
        return lin(att["key"], u), lin(att["value"], u), place

    m, s, anchor, ys = first, zero, first, []
    told = {}  # h of the tokens
    for t, begin in enumerate(episode_begin(starts)):
        if starts[t]:
            m, s = first, zero
        if starts[t] or t % segment == 0:
            anchor = m
        told[t] = says(anchor, xs[t])
        seen = range(max(begin, t // segment * segment), t + 1)
        items = [item(u, None) for u in p["persistent"]]
        items += [item(told[j], (t, j)) for j in seen] + [item(xs[j], (t, j)) for j in seen]
        y = lin(att["output"], attend(lin(att["query"], xs[t]), items, heads))
        k, v = l2(split(silu(lin(mem["key"], y))), EPS), split(silu(lin(mem["value"], y)))
        theta = rate * sigmoid(lin(mem["rate"], y))
        eta, alpha = sigmoid(lin(mem["momentum"], y)), sigmoid(lin(mem["forget"], y))
        m, s = list(m), list(s)
        for h in range(heads):
            slope = memory_grad(anchor[h], k[h], v[h], True)
            s[h] = [eta[h] * a - theta[h] * g for a, g in zip(s[h], slope, strict=True)]
            m[h] = [(1 - alpha[h]) * w + a for w, a in zip(m[h], s[h], strict=True)]
        ys.append(gated(p, y, says(m, y)))
    return np.array(ys)


def layer_norm(p, x, eps):
    x = x - x.mean()
    return x / np.sqrt((x * x).mean() + eps) * scale(p) + np.asarray(p["bias"], float)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def transformer(p, rows, sees, places, heads, layers, older, ln_eps):
    """Rows through pre-norm layers; row i attends to the rows j with sees(i, j).

    ``older(i, layer)``: (key, value, place) of further items that row i sees. Returns the rows after the last
    norm, and keys and values of each layer, without rotation.
    """
    kept = []
    for n in range(layers):
        w = p[f"layer_{n}"]
        normed = [layer_norm(w["norm"], r, ln_eps) for r in rows]
        q, k, v = ([lin(w["attention"][c], r) for r in normed] for c in ("query", "key", "value"))
        kept.append(list(zip(k, v, strict=True)))
        out = []
        for i, row in enumerate(rows):
            items = []
            for j in range(len(rows)):
                if sees(i, j):
                    place = None if places is None else (places[i], places[j])
                    items.append((k[j], v[j], place))
            for key, value, at in older(i, n):
                items.append((key, value, None if places is None else (places[i], at)))
            row = row + lin(w["attention"]["output"], attend(q[i], items, heads))
            up = gelu(lin(w["mlp"]["up"], layer_norm(w["mlp_norm"], row, ln_eps)))
            out.append(row + lin(w["mlp"]["down"], up))
        rows = out
    return [layer_norm(p["norm"], r, ln_eps) for r in rows], kept


def rmt(
    p, xs, starts, *, heads, segment, m, layers=2, rope=False, xl=False, causal_memory=False,
    separate=False, write_to_write=False, causal=True, past=0, mask_future=True,
    ln_eps=1e-6
):  # fmt: skip
    """Segment by segment, each cut at the starts in it into pieces."""
    if separate:
        initial, r, w = np.zeros((m, xs.shape[1])), p["read"]["embedding"], p["write"]["embedding"]
    else:
        initial, r, w = np.asarray(p["memory"]["embedding"], float), 0, 0
    memory, before, ys = [initial], [[] for _ in range(layers)], []  # newest first
    for first in range(0, len(xs), segment):
        last = min(first + segment, len(xs))
        cuts = sorted({first, last, *(t for t in range(first, last) if starts[t])})
        for a, b in zip(cuts, cuts[1:], strict=False):
            if starts[a]:
                memory, before = [initial], [[] for _ in range(layers)]
            n = b - a
            read = []  # (age of the memory, row), the oldest first
            for age in reversed(range(len(memory))):
                old = p["age"]["embedding"][past - age] if past else 0
                read += [(age, row) for row in memory[age] + r + old]
            write = w + memory[0] if write_to_write or not separate else w
            tokens = [xs[a + i] + (0 if rope else p["position"]["embedding"][i]) for i in range(n)]
            ages = [age for age, _ in read]
            kind = ["read"] * len(read) + ["token"] * n + ["write"] * m

            def sees(i, j, kind=kind, ages=ages):
                if kind[i] == kind[j] == "read" and mask_future and ages[j] < ages[i]:
                    return False
                if kind[i] == "token":
                    return kind[j] == "read" or (kind[j] == "token" and (j <= i or not causal))
                if causal_memory and not (kind[i] == kind[j] == "read" and ages[i] != ages[j]):
                    return j <= i
                return kind[i] == "write" or kind[j] == "read"

            def older(i, layer, kind=kind, before=before):
                return before[layer] if xl and kind[i] != "read" else []

            places = [0] * len(read) + list(range(n)) + [0] * m if rope else None
            rows = [*(row for _, row in read), *tokens, *write]
            out, kept = transformer(p, rows, sees, places, heads, layers, older, ln_eps)
            ys += out[len(read) : len(read) + n]
        memory = [np.array(out[-m:]), *memory[:past]]
        before = [[(*kept[c][len(read) + i], i - n) for i in range(n)] for c in range(layers)]
    return np.array(ys)


MUON = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


def muon(g):
    """The five rounds of LaCT's authors, each with coefficients of its own.

    They add 1e-7 to the norm; here it is 1e-14 to its square.
    """
    x = g / np.sqrt((g * g).sum() + 1e-14)
    for a, b, c in MUON:
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def lact(p, xs, starts, *, heads, attention_heads, window, chunk, momentum=True, orthogonal=False):
    length = len(xs)
    mixed = window_attention(p, xs, starts, attention_heads, window, output=False)
    affine = {c: (scale(p[c + "_affine"]), np.asarray(p[c + "_affine"]["bias"])) for c in "qk"}

    def split(x):
        return np.reshape(x, (length, heads, -1))

    q, k = (
        l2(split(silu(affine[c][0] * lin(p[name], xs) + affine[c][1])), EPS)
        for c, name in (("q", "query"), ("k", "key"))
    )
    v = split(silu(lin(p["value"], xs)))
    eta = np.logaddexp(0, lin(p["rate"], xs)).reshape(length, heads, 3)
    mu = sigmoid(lin(p["momentum"], xs)) if momentum else np.zeros((length, heads))
    gate = silu(lin(p["gate"], xs))
    initial = [[np.asarray(p[n][h], float) for n in ("w0", "w1", "w2")] for h in range(heads)]
    w, moving, ys = initial, [[0.0] * 3] * heads, []
    for t, begin in enumerate(episode_begin(starts)):
        if starts[t]:
            w, moving = initial, [[0.0] * 3] * heads
        read = []
        for h in range(heads):
            w0, w1, w2 = w[h]
            f = w1 @ (silu(w0 @ q[t, h]) * (w2 @ q[t, h]))
            read.append(rms(f, EPS) * scale(p["norm"]) * gate[t, h])
        ys.append(lin(p["output"], mixed[t] + np.concatenate(read)))
        if (t + 1) % chunk:
            continue
        rows, new, moved = range(max(begin, t + 1 - chunk), t + 1), [], []
        for h in range(heads):
            w0, w1, w2 = w[h]
            total = [np.mean(mu[rows, h]) * g for g in moving[h]]
            for i in rows:
                a, b, back = w0 @ k[i, h], w2 @ k[i, h], w1.T @ v[i, h]
                slope = sigmoid(a) * (1 + a * (1 - sigmoid(a)))
                grads = (
                    np.outer(back * b * slope, k[i, h]),
                    np.outer(v[i, h], silu(a) * b),
                    np.outer(back * silu(a), k[i, h]),
                )
                total = [total[n] + eta[i, h, n] * g for n, g in enumerate(grads)]
            moved.append(total)
            next_w = []
            for old, step, start in zip(w[h], total, initial[h], strict=True):
                u = old + (muon(step) if orthogonal else step)
                size = np.sqrt((u * u).sum(-1, keepdims=True)) + 1e-5
                next_w.append(u / size * np.sqrt((start * start).sum(-1, keepdims=True)))
            new.append(next_w)
        w, moving = new, moved
    return np.array(ys)


def atlas(p, xs, starts, *, heads, window, degree=1, rate=0.1):
    q, k, v = (
        conv_silu(p[n], p[n + "_conv"], xs, starts).reshape(len(xs), heads, -1)
        for n in ("query", "key", "value")
    )
    q, k = l2(q, EPS), l2(k, EPS)

    def phi(x):
        if degree == 1:
            return x
        return np.concatenate([[1.0], x, [a * b / 2 for a in x for b in x]])

    alpha, gamma, theta = (sigmoid(lin(p[n], xs)) for n in ("keep", "gamma", "momentum"))
    eta, gate = rate * sigmoid(lin(p["rate"], xs)), silu(lin(p["gate"], xs))
    gate, first = gate.reshape(v.shape), np.asarray(p["weight"], float)
    ys = []
    for t, begin in enumerate(episode_begin(starts)):
        if t == begin:
            m, s = first.copy(), 0 * first
        out = []
        for h in range(heads):
            g = 0 * s[h]
            for i in range(max(begin, t - window + 1), t + 1):
                f = phi(k[i, h])
                g = g + gamma[i, h] * 2 * np.outer(f, f @ m[h] - v[i, h])
            s[h] = theta[t, h] * s[h] + g
            m[h] = alpha[t, h] * m[h] - eta[t, h] * newton_schulz5(s[h])
            out.append(rms(phi(q[t, h]) @ m[h], EPS) * scale(p["norm"]) * gate[t, h])
        ys.append(lin(p["output"], np.concatenate(out)))
    return np.array(ys)
