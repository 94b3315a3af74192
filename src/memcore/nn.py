"""Pointwise pure functions: linear maps, norms, activations, initialisers."""

from __future__ import annotations

import math

from memcore.backend import (
    Draw,
    as_draw,
    asarray_like,
    cast,
    namespace,
    product,
    rows,
    state_dtype,
    stop_gradient,
    sum_last,
)
from memcore.backend import sigmoid as sigmoid
from memcore.types import Array, Dtype, Key, Params


def wide(x: Array) -> Array:
    """``x`` in the dtype of states: half precision as float32."""
    return cast(x, state_dtype(namespace(x), x.dtype))


def dense(draw: Draw, name: str, fan_in: int, fan_out: int, bias: bool = False) -> Params:
    """Parameters of a linear map: LeCun-normal ``kernel (in, out)`` and, if asked, a zero ``bias``."""
    draw = draw.child(name)
    params = {"kernel": draw.normal("kernel", (fan_in, fan_out), 1 / math.sqrt(fan_in))}
    return {**params, "bias": draw.zeros((fan_out,))} if bias else params


def uniform_affine(draw: Draw, name: str, fan_in: int, fan_out: int, bound: float) -> Params:
    """Parameters of a linear map as torch's recurrent cells draw them: all uniform within ``bound``."""
    draw = draw.child(name)
    return {
        "kernel": draw.uniform("kernel", (fan_in, fan_out), -bound, bound),
        "bias": draw.uniform("bias", (fan_out,), -bound, bound),
    }


def uniform_dense(draw: Draw, name: str, fan_in: int, fan_out: int, bias: bool = False) -> Params:
    """Parameters of a linear map as torch draws them: all uniform within ``1 / sqrt(fan_in)``."""
    draw, bound = draw.child(name), 1 / math.sqrt(fan_in)
    params = {"kernel": draw.uniform("kernel", (fan_in, fan_out), -bound, bound)}
    return {**params, "bias": draw.uniform("bias", (fan_out,), -bound, bound)} if bias else params


def linear(params: Params, x: Array) -> Array:
    """``x @ kernel (+ bias)``, in the dtype of ``x``: ``(..., in) -> (..., out)``."""
    y = product(x, cast(params["kernel"], x.dtype))
    return y + cast(params["bias"], x.dtype) if "bias" in params else y


def split_heads(x: Array, heads: int) -> Array:
    """``(..., heads * size) -> (..., heads, size)``."""
    return namespace(x).reshape(x, (*x.shape[:-1], heads, x.shape[-1] // heads))


def merge_heads(x: Array) -> Array:
    """``(..., heads, size) -> (..., heads * size)``."""
    return namespace(x).reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))


def softplus(x: Array) -> Array:
    """``log(1 + exp(x))``."""
    xp = namespace(x)
    return xp.logaddexp(x, xp.zeros_like(x))


def relu(x: Array) -> Array:
    """``max(x, 0)``, whose gradient at 0 is 0."""
    xp = namespace(x)
    return xp.where(x <= 0, xp.zeros_like(x), x)


def silu(x: Array) -> Array:
    """``x sigmoid(x)``."""
    return x * sigmoid(x)


def gelu(x: Array) -> Array:
    """``x`` times the normal distribution's integral up to x, by its approximation with a tanh
    (arXiv:1606.08415)."""
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1.0 + namespace(x).tanh(inner))


def elu_plus_one(x: Array) -> Array:
    """``elu(x) + 1``: positive, the feature map of linear attention."""
    xp = namespace(x)
    # The exponential sees no positive number: no overflow, and at 0 the gradient is 1 from the left.
    return xp.where(x > 0, x + 1.0, xp.exp(xp.where(x > 0, xp.zeros_like(x), x)))


def softmax(x: Array, sink: Array = None) -> Array:
    """Softmax over the last axis; ``sink (..., 1)`` is one more logit, whose weight is left out."""
    xp = namespace(x)
    top = xp.max(x, axis=-1, keepdims=True)
    # The result does not depend on what is subtracted, and neither does the gradient.
    top = stop_gradient(top if sink is None else xp.maximum(top, sink))
    e = xp.exp(x - top)
    total = sum_last(e)
    return e / (total if sink is None else total + xp.exp(sink - top))


def _mean_square(x: Array) -> Array:
    return sum_last(x * x) / x.shape[-1]


def rms_norm(params: Params, x: Array, eps: float = 1e-6) -> Array:
    """``x / rms(x) * scale`` over the last axis, computed in at least float32 (arXiv:1910.07467)."""
    xp = namespace(x)
    y = wide(x)
    y = y / xp.sqrt(_mean_square(y) + eps)
    return cast(y, x.dtype) * cast(params["scale"], x.dtype)


def standardise(x: Array, eps: float = 1e-6) -> Array:
    """``(x - mean) / sqrt(var + eps)`` over the last axis, computed in at least float32."""
    xp = namespace(x)
    y = wide(x)
    y = y - sum_last(y) / x.shape[-1]
    return cast(y / xp.sqrt(_mean_square(y) + eps), x.dtype)


def layer_norm(params: Params, x: Array, eps: float = 1e-6) -> Array:
    """`standardise`, times ``scale`` (and plus ``bias``) (arXiv:1607.06450)."""
    y = standardise(x, eps) * cast(params["scale"], x.dtype)
    return y + cast(params["bias"], x.dtype) if "bias" in params else y


def affine(params: Params, x: Array) -> Array:
    """``x * scale + bias``, channel by channel."""
    scale, bias = (cast(params[n], x.dtype) for n in ("scale", "bias"))
    return x * scale + bias


def l2_normalise(x: Array, eps: float = 1e-6) -> Array:
    """``x / sqrt(sum x^2 + eps)`` over the last axis."""
    return x / namespace(x).sqrt(sum_last(x * x) + eps)


def embed(params: Params, index: Array, dtype: Dtype) -> Array:
    """Rows of ``embedding (N, D)`` in ``dtype``: ints ``(...)`` to ``(..., D)``."""
    # The rows are cast, not the table: its gradient adds up in the table's dtype.
    return cast(rows(params["embedding"], index), dtype)


def dropout(x: Array, rate: float, key: Key, name: str) -> Array:
    """Zero a share ``rate`` of ``x`` and scale up the rest; ``key`` None means no dropout."""
    if key is None or rate == 0:
        return x
    return drop(x, rate, kept(x, rate, key, name))


def kept(x: Array, rate: float, key: Key, name: str) -> Array:
    """Which entries of ``x`` a dropout of ``rate`` leaves."""
    return asarray_like(as_draw(key).uniform(name, x.shape), x) >= rate


def drop(x: Array, rate: float, kept: Array) -> Array:
    """``x`` where ``kept``, scaled up so that its mean stays, and zero elsewhere."""
    xp = namespace(x)
    return xp.where(kept, x / (1 - rate), xp.zeros_like(x))
