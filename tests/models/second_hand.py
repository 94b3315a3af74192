"""References of a second hand: written from the papers' equations by somebody who did not see the library.

``xs (T, d)``, ``starts (T,)`` bool: before ``x_t`` is used, the state becomes the initial one; row 0 always
begins from it. Features split as (heads, size per head); a state matrix S is (heads, K, V), and its read
``S^T q``. Where papers leave a choice open, it is that of the model's docstring.
"""

from __future__ import annotations

import numpy as np


def lin(p, x):
    return x @ np.asarray(p["kernel"], float) + np.asarray(p.get("bias", 0.0), float)


def sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(x)))


def silu(x):
    return x * sigmoid(x)


def phi(x):  # elu(x) + 1
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))


def l2(x, eps):
    return x / np.sqrt((x * x).sum(-1, keepdims=True) + eps)


def rms(x, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)


def episode_begin(starts):
    """(T,) index of the first row of the episode that row t belongs to."""
    out, begin = [], 0
    for t, s in enumerate(starts):
        begin = t if s else begin
        out.append(begin)
    return out


def conv_silu(p, conv, xs, starts):
    """silu of the causal depthwise convolution of the projection; rows before the episode count as zero."""
    z, taps = lin(p, xs), np.asarray(conv["kernel"], float)
    out, c = np.zeros_like(z), len(taps)
    for t, begin in enumerate(episode_begin(starts)):
        for lag in range(c):  # taps[c - 1] weighs the current row
            if t - lag >= begin:
                out[t] += taps[c - 1 - lag] * z[t - lag]
    return silu(out + np.asarray(conv.get("bias", 0.0), float))


def rot_rnn(p, xs, starts, heads):
    """x_t = gamma A x_{t-1} + xi B u_t per head, A = P R(theta) P^T, y_t = C [x of all heads] + D * u_t."""
    xs = np.asarray(xs, float)
    gamma = np.exp(-np.exp(np.asarray(p["gamma_log"], float).reshape(heads)))
    theta, m = np.asarray(p["theta"], float), np.asarray(p["m"], float)
    n = m.shape[-1]
    if isinstance(p["b"], dict):  # kernel (d, H n)
        b = np.asarray(p["b"]["kernel"], float).T.reshape(heads, n, -1)
    else:  # the paper's layout (H, n, d)
        b = np.asarray(p["b"], float)
    c = (
        np.asarray(p["c"]["kernel"], float)
        if isinstance(p["c"], dict)
        else np.asarray(p["c"], float).T
    )  # (H n, out)
    a, bn = np.zeros((heads, n, n)), np.zeros_like(b)
    for h in range(heads):
        w, u = np.linalg.eigh(1j * (m[h] - m[h].T))  # skew: exp(K) = U exp(-i w) U^*
        orth = (u * np.exp(-1j * w)) @ u.conj().T
        orth, rot = orth.real, np.zeros((n, n))
        for i, th in enumerate(theta[h]):  # pair (2i, 2i + 1), counter-clockwise
            rot[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [
                [np.cos(th), -np.sin(th)],
                [np.sin(th), np.cos(th)],
            ]
        a[h] = orth @ rot @ orth.T
        bn[h] = np.sqrt((1 - gamma[h] ** 2) / np.trace(b[h] @ b[h].T)) * b[h]
    state, ys = np.zeros((heads, n)), []
    for x, start in zip(xs, starts, strict=True):
        if start:
            state = np.zeros((heads, n))
        state = np.stack([gamma[h] * a[h] @ state[h] + bn[h] @ x for h in range(heads)])
        ys.append(state.reshape(-1) @ c + np.asarray(p["d"], float) * x)
    return np.stack(ys)


def segment_attention(p, xs, starts, heads, segment):
    """Token t attends to xs of its own segment up to t, and to ys of the one before, of its episode only."""
    xs = np.asarray(xs, float)
    begin, ys = episode_begin(starts), []
    for t in range(len(xs)):
        first = t // segment * segment
        memory = [ys[i] for i in range(max(first - segment, 0), first) if i >= begin[t]]
        own = [xs[i] for i in range(first, t + 1) if i >= begin[t]]
        context = np.stack(memory + own)
        q = lin(p["query"], xs[t]).reshape(heads, -1)
        k = lin(p["key"], context).reshape(len(context), heads, -1)
        v = lin(p["value"], context).reshape(len(context), heads, -1)
        mixed = []
        for h in range(heads):
            score = k[:, h] @ q[h] / np.sqrt(q.shape[-1])
            weight = np.exp(score - score.max())
            mixed.append(weight @ v[:, h] / weight.sum())
        ys.append(lin(p["output"], np.concatenate(mixed)))
    return np.stack(ys)


def dlse(p, xs, starts, heads, eps=0.0):
    """S_t = log(exp(S_{t-1} + g) + exp(k v^T)), elementwise; y = W_o [S_t^T q / |S_t|_F]."""
    xs = np.asarray(xs, float)
    q = lin(p["query"], xs).reshape(len(xs), heads, -1)
    k = phi(lin(p["key"], xs)).reshape(len(xs), heads, -1)
    v = phi(lin(p["value"], xs)).reshape(len(xs), heads, -1)
    g = -np.exp(np.asarray(p["log_rate"], float))[:, :, None]
    empty = np.full((heads, k.shape[-1], v.shape[-1]), -1e38)
    s, ys = empty, []
    for t in range(len(xs)):
        s = empty if starts[t] else s
        s = np.logaddexp(s + g, k[t][:, :, None] * v[t][:, None, :])
        read = [s[h].T @ q[t, h] / np.sqrt((s[h] ** 2).sum() + eps) for h in range(heads)]
        ys.append(lin(p["output"], np.concatenate(read)))
    return np.stack(ys)


def fast_weight_programmer(p, xs, starts, heads):
    """S_t = S_{t-1} + phi(k) v^T; y = W_o S_t^T phi(q); no normaliser."""
    xs = np.asarray(xs, float)
    q = phi(lin(p["query"], xs)).reshape(len(xs), heads, -1)
    k = phi(lin(p["key"], xs)).reshape(len(xs), heads, -1)
    v = lin(p["value"], xs).reshape(len(xs), heads, -1)
    s, ys = np.zeros((heads, k.shape[-1], v.shape[-1])), []
    for t in range(len(xs)):
        s = 0 * s if starts[t] else s
        s = s + k[t][:, :, None] * v[t][:, None, :]
        ys.append(lin(p["output"], np.concatenate([s[h].T @ q[t, h] for h in range(heads)])))
    return np.stack(ys)


def delta_net(p, xs, starts, heads, negative, *, l2_eps=1e-6, norm_eps=1e-5):
    """S_t = (I - b k k^T) S_{t-1} + b k v^T; read S_t^T q / sqrt(K)."""
    xs = np.asarray(xs, float)
    q, k, v = (
        conv_silu(p[n], p[n + "_conv"], xs, starts).reshape(len(xs), heads, -1)
        for n in ("query", "key", "value")
    )
    q, k = l2(q, l2_eps), l2(k, l2_eps)
    b = sigmoid(lin(p["beta"], xs)) * (2 if negative else 1)
    size = k.shape[-1]
    s, ys = np.zeros((heads, size, v.shape[-1])), []
    for t in range(len(xs)):
        s = 0 * s if starts[t] else s
        s, out = s.copy(), []
        for h in range(heads):
            s[h] = (np.eye(size) - b[t, h] * np.outer(k[t, h], k[t, h])) @ s[h] + b[
                t, h
            ] * np.outer(k[t, h], v[t, h])
            out.append(
                rms(s[h].T @ q[t, h] / np.sqrt(size), norm_eps)
                * np.asarray(p["norm"]["scale"], float)
            )
        ys.append(lin(p["output"], np.concatenate(out)))
    return np.stack(ys)


def delta_product(p, xs, starts, heads, n, gated, negative, *, l2_eps=1e-6, norm_eps=1e-5):
    """S_t: decayed once by a (gated), then n writes of the delta rule, j = 0 .. n - 1; one read per token."""
    xs = np.asarray(xs, float)
    length = len(xs)
    q = l2(conv_silu(p["query"], p["query_conv"], xs, starts).reshape(length, heads, -1), l2_eps)
    k = l2(conv_silu(p["key"], p["key_conv"], xs, starts).reshape(length, n, heads, -1), l2_eps)
    v = conv_silu(p["value"], p["value_conv"], xs, starts).reshape(length, n, heads, -1)
    b = sigmoid(lin(p["beta"], xs)).reshape(length, n, heads) * (2 if negative else 1)
    a, gate = np.ones((length, heads)), np.ones((length, heads, v.shape[-1]))
    if gated:
        dt = np.logaddexp(0, lin(p["decay"], xs) + np.asarray(p["dt_bias"], float))  # softplus
        a = np.exp(-np.exp(np.asarray(p["a_log"], float)) * dt)
        gate = silu(lin(p["gate"], xs)).reshape(gate.shape)
    size = k.shape[-1]
    s, ys = np.zeros((heads, size, v.shape[-1])), []
    for t in range(length):
        s = 0 * s if starts[t] else s
        s, out = s * a[t][:, None, None], []
        for h in range(heads):
            for j in range(n):
                kj, bj = k[t, j, h], b[t, j, h]
                s[h] = (np.eye(size) - bj * np.outer(kj, kj)) @ s[h] + bj * np.outer(kj, v[t, j, h])
            read = rms(s[h].T @ q[t, h] / np.sqrt(size), norm_eps) * np.asarray(
                p["norm"]["scale"], float
            )
            out.append(read * gate[t, h])
        ys.append(lin(p["output"], np.concatenate(out)))
    return np.stack(ys)


def memory_read(w, x, residual):
    """MLP of one head, w = list of (in, out): the output, and inputs and pre-activations of each layer."""
    h, trace = x, []
    for i, wi in enumerate(w):
        z = h @ wi
        trace.append((h, z))
        h = silu(z) if i < len(w) - 1 else z
    return (x + h if residual else h), trace


def memory_grad(w, k, v, residual):
    """d |M(k) - v|^2 / d w, by the chain rule; the sum over the components, so a factor 2."""
    y, trace = memory_read(w, k, residual)
    e, grads = 2 * (y - v), []
    for i in reversed(range(len(w))):
        h, _ = trace[i]
        grads.insert(0, np.outer(h, e))
        if i:
            z = trace[i - 1][1]
            sg = sigmoid(z)
            e = (w[i] @ e) * (sg + z * sg * (1 - sg))
    return grads


def neural_memory(
    p, xs, starts, heads, mini_batch, rate, depth, *, residual=True, l2_eps=1e-6, norm_eps=1e-5
):
    """S_t = eta S_{t-1} - theta grad(anchor), M_t = (1 - alpha) M_{t-1} + S_t; read M_t(q_t).

    anchor = M at the beginning of the mini-batch floor(t / mini_batch), or the initial M if the episode began
    later."""
    xs = np.asarray(xs, float)
    q, k, v = (
        conv_silu(p[n], p[n + "_conv"], xs, starts).reshape(len(xs), heads, -1)
        for n in ("query", "key", "value")
    )
    q, k = l2(q, l2_eps), l2(k, l2_eps)
    theta = rate * sigmoid(lin(p["step"], xs))
    eta, alpha = sigmoid(lin(p["momentum"], xs)), sigmoid(lin(p["decay"], xs))
    gate = silu(lin(p["gate"], xs)).reshape(len(xs), heads, -1)
    layers = [np.asarray(w, float) for w in p["memory"]]  # each (H, in, out)
    assert len(layers) == depth
    first = [[w[h] for w in layers] for h in range(heads)]
    zero = [[0 * w for w in ws] for ws in first]
    m, s, anchor, ys = first, zero, first, []
    for t in range(len(xs)):
        if starts[t]:
            m, s = first, zero
        if starts[t] or t % mini_batch == 0:
            anchor = m
        m, s, out = list(m), list(s), []
        for h in range(heads):
            grads = memory_grad(anchor[h], k[t, h], v[t, h], residual)
            s[h] = [eta[t, h] * a - theta[t, h] * g for a, g in zip(s[h], grads, strict=True)]
            m[h] = [(1 - alpha[t, h]) * w + a for w, a in zip(m[h], s[h], strict=True)]
            read = memory_read(m[h], q[t, h], residual)[0]
            out.append(rms(read, norm_eps) * np.asarray(p["norm"]["scale"], float) * gate[t, h])
        ys.append(lin(p["output"], np.concatenate(out)))
    return np.stack(ys)


def newton_schulz5(s, eps=0.0):
    """Five steps X <- a X + (b A + c A A) X, A = X X^T, from X = S / |S|_F; zero stays zero."""
    norm = np.sqrt((s * s).sum((-2, -1), keepdims=True)) + eps
    x = s / np.where(norm == 0, 1, norm)
    for _ in range(5):
        gram = x @ np.swapaxes(x, -1, -2)
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def atlas_step(M, S, G, keep, eta, rate, *, eps=0.0):
    """One ATLAS step on one weight matrix (or a stack): (M, S). G already sums the window."""
    S = eta * S + G
    return keep * M - rate * newton_schulz5(S, eps), S
