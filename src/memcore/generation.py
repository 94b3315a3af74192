"""What a model of tokens goes on with."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from memcore import nn
from memcore.backend import as_draw, as_key, asarray_like, compiled, fold, is_jax, known, namespace
from memcore.cell import Model
from memcore.engine import step
from memcore.engine.checks import as_array, as_booleans, check_flags, check_inputs, check_model
from memcore.engine.parts import signature
from memcore.fields import is_count, is_number
from memcore.types import Array, Key, Params, State, Tree

COLDEST, HOTTEST = 1e-6, 1e36
"""Other temperatures count as these: all but the best tokens have no chance, all have the same one. A
hundred times either is a number in float32."""
MOST = int(np.iinfo(np.int32).max)


class Chances(NamedTuple):
    """How a token is drawn; numbers, so that other ones compile nothing."""

    temperature: float
    top_k: int
    top_p: float


def generate(
    model: Model,
    params: Params,
    prompt: Array,
    *,
    length: int,
    state: State = None,
    valid: Array = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    key: Key = 0,
    offset: int = 0,
) -> tuple[State, Array]:
    """Draw the tokens that follow a prompt, one after the other, each read by the model before the next.

        p = softmax(y / temperature), cut to the top_k greatest, then to the fewest that hold top_p of those

    The prompt is read at once. A token costs a step of the model, whatever came before; on JAX all are one
    jitted loop, compiled once for a length and the shape of the prompt.

    To go on, give the returned state, and the last token as the prompt:

        state, tokens = generate(model, params, prompt, length=100)
        state, more = generate(model, params, tokens[..., -1:], length=100, state=state, offset=100)

    So a long prompt is read once: ``state, _ = model.apply(params, prompt[..., :-1])``, then its last token.

    Args:
        model: a causal `Model` of tokens, whose outputs are scores of the same tokens.
        params: its parameters.
        prompt: ints ``(..., P)``, at least one.
        length: how many tokens to draw.
        state: what came before the prompt; None begins afresh.
        valid: ``(..., P)`` bool: other steps are padding, for prompts of different lengths; on either side.
        temperature: 0 takes the best token, 1 draws as the model says, more draws more evenly.
        top_k: how many of the best tokens may be drawn; None for all.
        top_p: the share of the probability that they hold together; None for all.
        key: as for `Model.init`.
        offset: how many tokens were drawn with this key before, so that pieces are as one call.

    Returns:
        ``(state, tokens)``: the state after all but the last token, and int32 ``(..., length)``. On JAX
        tokens are -1 from where the outputs are no numbers.

    Raises:
        ValueError, TypeError: an argument does not fit, or on NumPy the outputs are no numbers.
    """
    _check_model(model)
    chances = _chances(temperature, top_k, top_p)
    for name, value, least in (("length", length, 1), ("offset", offset, 0)):
        if not is_count(value, least):
            raise ValueError(f"{name} is {value!r}, expected an int of at least {least}")
    if length + offset > MOST:
        raise ValueError(
            f"offset is {offset}, expected at most {MOST - length} before {length} tokens"
        )
    prompt = check_inputs(model, as_array(prompt, "prompt"), "prompt", "..., P")
    if not prompt.shape[-1]:
        raise ValueError(f"prompt has shape {tuple(prompt.shape)}, expected at least one token")
    valid = _valid(valid, prompt)
    _check_tokens(model, prompt, valid)
    key = as_key(key, (params, prompt))
    drawn = temperature > 0, top_k is not None or top_p is not None
    statics = (model, signature(model), length, *drawn)
    args = (params, prompt, state, valid, key, chances, offset)
    state, tokens = compiled(_generate, statics, args)
    return state, tokens


def _generate(
    model: Model, code: Tree, length: int, drawn: bool, cut: bool,
    params: Params, prompt: Array, state: State, valid: Array, key: Key, chances: Chances, offset: int,
) -> tuple[State, Array]:  # fmt: skip
    """A run of arguments that fit."""
    xp, draw = namespace(prompt), as_draw(key)

    def token(ys: Array, i: Array) -> Array:
        ys = nn.wide(ys)
        wrong = _wrong(ys)
        if drawn:
            u = asarray_like(draw.at(i).uniform("token", ys.shape[:-1]), ys)
            found = _drawn(ys, u, chances, cut)
        else:
            found = xp.argmax(ys, axis=-1)
        found = xp.astype(found, xp.int32)
        return found if wrong is None else xp.where(wrong, xp.full_like(found, -1), found)

    def one(carry: Tree, i: Array) -> Tree:
        state, last = carry
        state, ys = step(model, params, state, last)
        last = token(ys, i)
        return (state, last), last

    state, ys = model.apply(params, xp.astype(prompt, xp.int32), state, valid=valid)
    first = token(_last(ys, valid), offset)
    tokens = first[None, ...]
    if length > 1:
        places = xp.arange(1, length, dtype=xp.int32) + offset
        (state, _), others = fold(one, (state, first), places, length - 1)
        tokens = xp.concat([tokens, others])
    return state, xp.moveaxis(tokens, 0, -1)


def _last(ys: Array, valid: Array) -> Array:
    """The output of the last valid step: ``(..., P, V)`` to ``(..., V)``."""
    if valid is None:
        return ys[..., -1, :]
    xp = namespace(ys)
    steps = xp.arange(ys.shape[-2], dtype=xp.int32)
    last = xp.max(xp.where(valid, steps, xp.zeros_like(steps)), axis=-1, keepdims=True)
    return xp.sum(xp.where((steps == last)[..., None], ys, xp.zeros_like(ys)), axis=-2)


def _drawn(ys: Array, u: Array, chances: Chances, cut: bool) -> Array:
    """The token at ``u`` in [0, 1) of the distribution ``(..., V)``, which stands in the order of the chances
    where it is ``cut``."""
    xp, t = namespace(ys), chances.temperature
    order = xp.argsort(ys, axis=-1, descending=True, stable=True) if cut else None
    z = ys if order is None else xp.take_along_axis(ys, order, axis=-1)
    # What is 100 temperatures below the best has no chance, and must not overflow.
    z = xp.maximum(z - xp.max(z, axis=-1, keepdims=True), xp.zeros_like(z) - 100.0 * t)
    p = nn.softmax(z / t)
    if order is not None:
        p = xp.where(xp.arange(p.shape[-1]) < chances.top_k, p, xp.zeros_like(p))
        p = p / xp.sum(p, axis=-1, keepdims=True)
        p = xp.where(xp.cumulative_sum(p, axis=-1) - p < chances.top_p, p, xp.zeros_like(p))
    total = xp.cumulative_sum(p, axis=-1)
    # A sum may round up to u times the whole: the last token with a chance is the last one there is.
    passed = (total <= u[..., None] * total[..., -1:]) & (total < total[..., -1:])
    place = xp.sum(xp.astype(passed, xp.int32), axis=-1, keepdims=True, dtype=xp.int32)
    if order is None:
        return place[..., 0]
    return xp.take_along_axis(order, xp.astype(place, order.dtype), axis=-1)[..., 0]


def _wrong(ys: Array) -> Array:
    """Where no token can be drawn, on JAX; elsewhere that is an error, and None is returned."""
    xp = namespace(ys)
    # Not by their maximum, which may pass over a NaN.
    wrong = ~(xp.all(ys < math.inf, axis=-1) & xp.any(ys > -math.inf, axis=-1))
    if is_jax(ys):
        return wrong
    if xp.any(wrong):
        raise ValueError("params and state give outputs that are no numbers: no token can be drawn")
    return None


def _check_model(model: Model) -> None:
    check_model(model)
    if model.input_ndim or model.output_ndim != 1 or model.out_features != model.in_features:
        raise ValueError(
            f"model is {model!r}, expected one of tokens, whose outputs are scores of the same tokens"
        )
    if not model.causal:
        raise ValueError(f"model is {model!r}, expected a causal one: it needs the whole sequence")


def _chances(temperature: float, top_k: int | None, top_p: float | None) -> Chances:
    if not is_number(temperature) or temperature < 0:
        raise ValueError(f"temperature is {temperature!r}, expected a number of at least 0")
    if top_k is not None and not is_count(top_k):
        raise ValueError(f"top_k is {top_k!r}, expected None or a positive int")
    if top_p is not None and not (is_number(top_p) and 0 < top_p <= 1):
        raise ValueError(f"top_p is {top_p!r}, expected None or a number above 0 and of at most 1")
    # A share of 2 is never reached: the running sum may be 1 before the last token.
    return Chances(
        min(max(float(temperature), COLDEST), HOTTEST),
        MOST if top_k is None else min(int(top_k), MOST),
        2.0 if top_p is None else float(top_p),
    )


def _valid(valid: Array, prompt: Array) -> Array:
    """``valid`` as booleans of the prompt's shape; each row has a token, where that can be seen."""
    [valid] = as_booleans(valid=valid)
    valid = check_flags("valid", valid, prompt, tuple(prompt.shape))
    values = None if valid is None else known(valid)
    if values is not None and not values.any(axis=-1).all():
        raise ValueError("valid has a row without a token, expected at least one in every prompt")
    return valid


def _check_tokens(model: Model, prompt: Array, valid: Array) -> None:
    """Raise ValueError for a token that the model does not know, where that can be seen."""
    tokens, used = known(prompt), True if valid is None else known(valid)
    if tokens is None or used is None:
        return
    wrong = ((tokens < 0) | (tokens >= model.in_features)) & used
    if wrong.any():
        raise ValueError(
            f"prompt has the token {tokens[wrong][0]}, expected 0 to {model.in_features - 1}, the model's "
            "vocabulary (in_features)"
        )
