"""The opponents: memory rules as one `jax.lax.associative_scan` over full elements.

Every step is lifted to a full element of its semigroup (a transition matrix, a whole window), a
parallel prefix combines all T of them, every state is kept, and the outputs are read from the kept
states. Resets use the flag semigroup (ra, a) . (rb, b) = (ra | rb, b if rb else a . b). The state
before the first step is zero (or empty), so no element is prepended for it.

JAX only, no memcore: these are what the benchmarks compare memcore's methods with, and a second
opinion on their values. Written from the equations. `starts (B, T)` is bool; arrays with heads are
(B, T, H, K).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array
Element = Any


def prefix_scan(op: Callable[[Element, Element], Element], starts: Array, elements: Element) -> Any:
    """Prefixes of `elements` (leaves (B, T, ...)) under `op` (left first), begun anew at starts."""

    def flagged(a: Any, b: Any) -> Any:
        (ra, ea), (rb, eb) = a, b

        def select(new: Array, both: Array) -> Array:
            return jnp.where(rb.reshape(rb.shape + (1,) * (new.ndim - rb.ndim)), new, both)

        return ra | rb, jax.tree.map(select, eb, op(ea, eb))

    return jax.lax.associative_scan(flagged, (starts, elements), axis=1)[1]


def diagonal(a_re: Array, a_im: Array, b: Array, starts: Array) -> Array:
    """h_t = a_t h_{t-1} + b_t in complex64: a_re, a_im (N,) or (B, T, N), b (B, T, N) -> (B, T, N).

    Elements (a, b) with (a1, b1) . (a2, b2) = (a2 a1, a2 b1 + b2).
    """
    b = b.astype(jnp.complex64)
    a = jnp.broadcast_to(jax.lax.complex(a_re, a_im).astype(jnp.complex64), b.shape)

    def op(left: Element, right: Element) -> Element:
        return right[0] * left[0], right[0] * left[1] + right[1]

    return prefix_scan(op, starts, (a, b))[1]


def selective_scan(x: Array, dt: Array, a: Array, b: Array, c: Array, starts: Array) -> Array:
    """y_t = C_t . h_t, h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t of Mamba (arXiv:2312.00752).

    x, dt (B, T, D), a (D, N), b, c (B, T, N) -> (B, T, D). Elements of all (B, T, D, N).
    """
    decay = jnp.exp(dt[..., None] * a)
    new = (dt * x)[..., None] * b[:, :, None, :]

    def op(left: Element, right: Element) -> Element:
        return right[0] * left[0], right[0] * left[1] + right[1]

    h = prefix_scan(op, starts, (decay, new))[1]
    return jnp.einsum("btdn,btn->btd", h, c)


def s6_layer(params: Mapping[str, Any], x: Array, starts: Array, rank: int) -> Array:
    """The selective state space model of Mamba, x (B, T, D) -> (B, T, D), with the scan above.

    Parameters as memcore's: {"projection": {"kernel"}, "dt": {"kernel", "bias"}}, "A_log" (D, N), "d" (D,).
    """
    dt, a, b, c = _s6_inputs(params, x, rank)
    return selective_scan(x, dt, a, b, c, starts) + params["d"] * x


def s6_layer_in_a_fold(params: Mapping[str, Any], x: Array, starts: Array, rank: int) -> Array:
    """The same by one `jax.lax.scan` over time, each step of which widens its inputs."""
    dt, a, b, c = _s6_inputs(params, x, rank)

    def step(h: Array, slot: tuple[Array, ...]) -> tuple[Array, Array]:
        x, dt, b, c, start = slot
        h = jnp.where(start[:, None, None], 0, h)
        h = jnp.exp(dt[..., None] * a) * h + (dt * x)[..., None] * b[:, None, :]
        return h, jnp.sum(h * c[:, None, :], axis=-1)

    slots = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), (x, dt, b, c, starts))
    y = jax.lax.scan(step, jnp.zeros((len(x), *a.shape)), slots)[1]
    return jnp.swapaxes(y, 0, 1) + params["d"] * x


def _s6_inputs(params: Mapping[str, Any], x: Array, rank: int) -> tuple[Array, ...]:
    p = x @ params["projection"]["kernel"]
    dt = jax.nn.softplus(p[..., :rank] @ params["dt"]["kernel"] + params["dt"]["bias"])
    return dt, -jnp.exp(params["A_log"]), *jnp.split(p[..., rank:], 2, axis=-1)


def linear_attention(
    q: Array,
    k: Array,
    v: Array,
    starts: Array,
    *,
    normalise: bool = False,
    scale: float = 1.0,
    eps: float = 1e-10,
) -> Array:
    """o_t = S_t^T q_t scale, S_t = S_{t-1} + k_t v_t^T: q, k (B, T, H, K), v -> o (B, T, H, V).

    With `normalise`, divided by z_t . q_t scale + eps, z_t = z_{t-1} + k_t. q and k are used as
    given: apply the feature map before. Elements (S, z), combined by addition.
    """
    elements = {"S": k[..., :, None] * v[..., None, :]} | ({"z": k} if normalise else {})

    def op(left: Element, right: Element) -> Element:
        return jax.tree.map(jnp.add, left, right)

    states = prefix_scan(op, starts, elements)
    out = jnp.einsum("bthkv,bthk->bthv", states["S"], q) * scale
    if normalise:
        out = out / (jnp.sum(states["z"] * q, axis=-1, keepdims=True) * scale + eps)
    return out


def gated_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    beta: Array,
    log_decay: Array,
    starts: Array,
    *,
    scale: float = 1.0,
) -> Array:
    """o_t = S_t^T q_t scale of the gated delta rule (arXiv:2412.06464): -> o (B, T, H, V).

    S_t = M_t S_{t-1} + X_t,  M_t = a_t (I - beta_t k_t k_t^T),  X_t = beta_t k_t v_t^T,
    a_t = exp(log_decay_t); q, k (B, T, H, K), v (B, T, H, V), beta, log_decay (B, T, H). S is
    (K, V) and M acts on its key side. Elements (M, X) with
    (M1, X1) . (M2, X2) = (M2 M1, M2 X1 + X2).
    """
    bk = beta[..., None] * k
    eye = jnp.eye(k.shape[-1], dtype=k.dtype)
    M = jnp.exp(log_decay)[..., None, None] * (eye - bk[..., :, None] * k[..., None, :])
    X = bk[..., :, None] * v[..., None, :]

    def op(left: Element, right: Element) -> Element:
        return right[0] @ left[0], right[0] @ left[1] + right[1]

    S = prefix_scan(op, starts, (M, X))[1]
    return jnp.einsum("bthkv,bthk->bthv", S, q) * scale


def window_attention(
    q: Array, k: Array, v: Array, window: int, starts: Array, *, scale: float | None = None
) -> Array:
    """Softmax attention over the last `window` steps: q, k (B, T, H, K), v -> o (B, T, H, V).

    scale None is K^-0.5. An element is a whole window: keys (W, H, K), values (W, H, V), validity
    (W,), the valid ones at its end. Two combine by "concatenate what is valid, keep the last W".
    """
    W = window

    def lift(x: Array) -> Array:
        """(B, T, ...) -> (B, T, W, ...): empty but for the last place."""
        pad = [(0, 0), (0, 0), (W - 1, 0)] + [(0, 0)] * (x.ndim - 2)
        return jnp.pad(x[:, :, None], pad)

    def op(left: Element, right: Element) -> Element:
        # Place i of the result is place i of `right` if it is valid there; else the items of `left`
        # move back by the number of valid ones in `right`.
        count = jnp.sum(right[2], axis=-1, keepdims=True, dtype=jnp.int32)
        places = jnp.arange(W, dtype=jnp.int32)
        source = jnp.where(places >= W - count, W + places, places + count)

        def take(a: Array, b: Array) -> Array:
            both = jnp.concatenate([a, b], axis=2)
            index = source.reshape(source.shape + (1,) * (both.ndim - 3))
            return jnp.take_along_axis(both, index, axis=2, mode="promise_in_bounds")

        return jax.tree.map(take, left, right)

    valid = jnp.ones(starts.shape, dtype=jnp.bool_)
    keys, values, valid = prefix_scan(op, starts, (lift(k), lift(v), lift(valid)))
    scale = k.shape[-1] ** -0.5 if scale is None else scale
    scores = jnp.einsum("bthk,btwhk->bthw", q, keys) * scale
    scores = jnp.where(valid[:, :, None, :], scores, -jnp.inf)  # the current step is always valid
    return jnp.einsum("bthw,btwhv->bthv", jax.nn.softmax(scores, axis=-1), values)


def causal_convolution(kernel: Array, x: Array, starts: Array) -> Array:
    """Depthwise, kernel (W, C), x (B, T, C) -> (B, T, C): sum_j kernel_j * x_{t-W+1+j}.

    Inputs from before the first step or the last start are zero.
    """
    width, length = kernel.shape[0], x.shape[1]
    segment = jnp.cumsum(starts, axis=1, dtype=jnp.int32)
    out = kernel[-1] * x
    for lag in range(1, min(width, length + 1)):
        shifted = jnp.pad(x, ((0, 0), (lag, 0), (0, 0)))[:, :length]
        before = jnp.pad(segment, ((0, 0), (lag, 0)), constant_values=-1)[:, :length]
        same = (before == segment)[..., None]
        out = out + kernel[width - 1 - lag] * jnp.where(same, shifted, 0)
    return out


def gated_delta_net_layer(
    params: Mapping[str, Any],
    x: Array,
    starts: Array,
    heads: int,
    *,
    negative_eigenvalues: bool = False,
) -> Array:
    """The Gated DeltaNet layer (arXiv:2412.06464), x (B, T, in) -> (B, T, in), with the rule above.

    Parameters as memcore's: {"query", "key", "value", "gate", "output", "beta", "decay",
    "query_conv", "key_conv", "value_conv": {"kernel"}}, "A_log" (H,), "dt_bias" (H,),
    {"norm": {"scale" (V,)}}.
    """

    def project(name: str) -> Array:
        return x @ params[name]["kernel"]

    def per_head(y: Array) -> Array:
        return y.reshape(*y.shape[:2], heads, -1)

    def head_input(name: str) -> Array:
        kernel = params[f"{name}_conv"]["kernel"]
        return per_head(jax.nn.silu(causal_convolution(kernel, project(name), starts)))

    def unit(y: Array) -> Array:
        return y * jax.lax.rsqrt(jnp.sum(y * y, axis=-1, keepdims=True) + 1e-6)

    q, k, v = unit(head_input("query")), unit(head_input("key")), head_input("value")
    beta = jax.nn.sigmoid(project("beta")) * (2 if negative_eigenvalues else 1)
    log_decay = -jnp.exp(params["A_log"]) * jax.nn.softplus(project("decay") + params["dt_bias"])
    o = gated_delta_rule(q, k, v, beta, log_decay, starts, scale=q.shape[-1] ** -0.5)
    o = o * jax.lax.rsqrt(jnp.mean(o * o, axis=-1, keepdims=True) + 1e-6) * params["norm"]["scale"]
    o = o * jax.nn.silu(per_head(project("gate")))
    return o.reshape(*x.shape[:2], -1) @ params["output"]["kernel"]
