"""A residual stack around any models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from memcore import nn
from memcore.backend import as_draw, namespace, running_max
from memcore.cell import Array, Model, Params, State
from memcore.engine.call import Call
from memcore.engine.checks import check_count
from memcore.engine.state import compute_dtype
from memcore.models.gated.gru import GRU
from memcore.registry import register

TOKEN_DTYPES = ("float16", "bfloat16", "float32", "float64")


@register("residual_stack")
@dataclass(frozen=True)
class ResidualStack(Model):
    """Encoder, ``layers`` blocks of a recurrent model and a gated MLP, norm and head.

        h = encode(x) (+ position[t])
        h = h + dropout(model_i(RMSNorm(h)))          (projected, if the model has another width)
        h = h + dropout(W_down (silu(W_gate n) * W_up n)),   n = RMSNorm(h)
        y = W_head RMSNorm(h) + b

    The pre-norm residual stack of Transformers with SwiGLU (arXiv:2002.05202). State: a dict of the
    layers' states, and with learned positions ``position``, the int32 number of steps since the last start.

    Args:
        in_features: width of the inputs; the number of different tokens if ``tokens``.
        model: the recurrent model, or several: layer i takes number i modulo their count. All have the
            same ``in_features``, which is the width of the stack.
        layers: number of blocks.
        out_features: width of the outputs; the width of the stack if None.
        tokens: whether the inputs are ints ``(..., T)``, which are embedded.
        position: ``"learned"`` adds a vector for the number of the step since the last start; or None.
        max_length: number of learned positions; all later steps share the last one.
        mlp_factor: hidden width of the MLPs over the width of the stack; 0 leaves them out.
        dropout: rate, where a call gives a ``key``.
        token_dtype: dtype of the computation on tokens, as ``"bfloat16"``; that of the parameters if None.
    """

    model: Model | tuple[Model, ...] = field(default=GRU(64))
    layers: int = 2
    out_features: int | None = None  # type: ignore[assignment]
    tokens: bool = False
    position: str | None = None
    max_length: int = 1024
    mlp_factor: float = 2.0
    dropout: float = 0.0
    token_dtype: str | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        super().__post_init__()
        models = self.models
        if not models or not all(isinstance(m, Model) for m in models):
            raise TypeError(f"model is {self.model!r}, expected a Model or a tuple of Models")
        if any(m.input_ndim != 1 for m in models):
            raise ValueError(
                f"model reads tokens, expected models of vectors in a stack: {self.model!r}"
            )
        if len({m.in_features for m in models}) > 1:
            widths = [m.in_features for m in models]
            raise ValueError(f"model has in_features {widths}, expected the same width in all")
        check_count("max_length", self.max_length)
        if self.out_features is not None:
            check_count("out_features", self.out_features)
        if not isinstance(self.mlp_factor, int | float) or self.mlp_factor < 0:
            raise ValueError(f"mlp_factor is {self.mlp_factor!r}, expected a number not below 0")
        if self.position not in (None, "learned"):
            raise ValueError(f"position is {self.position!r}, expected None or 'learned'")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout!r}, expected a rate in [0, 1)")
        if self.token_dtype not in (None, *TOKEN_DTYPES):
            raise ValueError(
                f"token_dtype is {self.token_dtype!r}, expected None or one of {TOKEN_DTYPES}"
            )
        if self.token_dtype and not self.tokens:
            raise ValueError(
                f"token_dtype is {self.token_dtype!r}, expected None unless tokens is true: other inputs "
                "have a dtype of their own"
            )
        if self.out_features is None:
            object.__setattr__(self, "out_features", self.width)

    @property
    def models(self) -> tuple[Model, ...]:
        """The recurrent models, of which layer i takes number i modulo their count."""
        return self.model if isinstance(self.model, tuple) else (self.model,)

    @property
    def width(self) -> int:
        """The width of the residual stream."""
        return self.models[0].in_features

    @property
    def input_ndim(self) -> int:
        return 0 if self.tokens else 1

    @property
    def causal(self) -> bool:  # type: ignore[override]
        return all(m.causal for m in self.models)

    @property
    def blocks(self) -> dict[str, Model]:
        """The recurrent model of each layer."""
        return {f"layer_{i}": self.models[i % len(self.models)] for i in range(self.layers)}

    @property
    def parts(self) -> dict[str, Model]:
        return {f"{name}/model": model for name, model in self.blocks.items()}

    def init(self, key: Any, dtype: Any = "float32") -> Params:
        draw, width = as_draw(key, dtype), self.width
        if self.tokens:
            encoder = {"embedding": draw.normal("encoder", (self.in_features, width))}
        else:
            encoder = nn.dense(draw, "encoder", self.in_features, width, bias=True)
        params = {
            "encoder": encoder,
            **{
                name: self._init_layer(part, draw.child(name)) for name, part in self.blocks.items()
            },
            "norm": {"scale": draw.ones((width,))},
            "head": nn.dense(draw, "head", width, self.out_features or width, bias=True),
        }
        if self.position:
            params["position"] = {
                "embedding": draw.normal("position", (self.max_length, width), 0.1)
            }
        return params

    def _init_layer(self, part: Model, draw: Any) -> Params:
        width, hidden = self.width, int(self.mlp_factor * self.width)
        layer = {"norm": {"scale": draw.ones((width,))}, "model": part.init(draw.child("model"))}
        if part.out_features != width:
            layer["project"] = nn.dense(draw, "project", part.out_features, width)
        if hidden:
            layer["mlp_norm"] = {"scale": draw.ones((width,))}
            layer["mlp"] = {
                "gate": nn.dense(draw, "gate", width, hidden),
                "up": nn.dense(draw, "up", width, hidden),
                "down": nn.dense(draw, "down", hidden, width),
            }
        return layer

    def initial_state(self, params: Params) -> State:
        state = {
            name: part.initial_state(params[name]["model"]) for name, part in self.blocks.items()
        }
        return {**state, "position": np.zeros((), np.int32)} if self.position else state

    def _apply(self, params: Params, xs: Array, state: State, call: Call) -> tuple[Any, ...]:
        h, after = self._encode(params, xs), {}
        if self.position:
            after["position"], steps = count_steps(
                state["position"], call.starts, call.valid, h.shape[:-1]
            )
            steps = namespace(steps).minimum(steps, self.max_length - 1)
            h = h + nn.embed(params["position"], steps, h.dtype)
        for name, part in self.blocks.items():
            after[name], h = self._layer(part, params[name], h, state[name], call.child(name))
        return after, nn.linear(params["head"], nn.rms_norm(params["norm"], h))

    def _encode(self, params: Params, xs: Array) -> Array:
        if self.tokens:
            return nn.embed(params["encoder"], xs, compute_dtype(self, params, xs))
        return nn.linear(params["encoder"], xs)

    def _layer(
        self, part: Model, params: Params, h: Array, state: State, call: Call
    ) -> tuple[State, Array]:
        state, y, *_ = part._apply(params["model"], nn.rms_norm(params["norm"], h), state, call)
        y = nn.linear(params["project"], y) if "project" in params else y
        h = h + nn.dropout(y, self.dropout, call.key, "model")
        if "mlp" in params:
            n, mlp = nn.rms_norm(params["mlp_norm"], h), params["mlp"]
            y = nn.silu(nn.linear(mlp["gate"], n)) * nn.linear(mlp["up"], n)
            h = h + nn.dropout(nn.linear(mlp["down"], y), self.dropout, call.key, "mlp")
        return state, h


def count_steps(count: Array, starts: Array, valid: Array, shape: tuple[int, ...]) -> Any:
    """Number the steps since the last start.

    Args:
        count: ``(*batch,)`` int32, valid steps since the last start so far.
        starts: ``(*batch, T)`` bool or None.
        valid: ``(*batch, T)`` bool or None.
        shape: ``(*batch, T)``.

    Returns:
        ``(count, steps)``: the new count, and ``(*batch, T)`` int32, 0 at a start.
    """
    xp = namespace(count)
    used = xp.ones(shape, dtype=xp.int32) if valid is None else xp.astype(valid, xp.int32)
    total = xp.cumulative_sum(used, axis=-1, dtype=xp.int32)
    before, begin = total - used, -count[..., None]
    if starts is not None:
        begin = running_max(xp.where(starts, before, begin), len(shape) - 1)
    return (total - begin)[..., -1], before - begin
