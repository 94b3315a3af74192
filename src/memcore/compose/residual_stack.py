"""A residual stack around any models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from memcore import nn
from memcore.backend import Draw, as_draw
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.engine.state import compute_dtype
from memcore.fields import choice, count, flag, number
from memcore.layers.learned_positions import LearnedPositions
from memcore.layers.mlp import gated_mlp, init_gated_mlp
from memcore.models.gated.gru import GRU
from memcore.registry import register
from memcore.types import Dtype

T = TypeVar("T")

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
        ratio: how often each of several models stands in a row, as ``"5:1"`` of two; once if None.
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
    layers: int = count(2)
    out_features: int | None = count(None)  # type: ignore[assignment]
    tokens: bool = flag(False)
    position: str | None = choice(None, "learned")
    max_length: int = count(1024)
    mlp_factor: float = number(2.0, least=0)
    dropout: float = number(0.0, least=0, below=1)
    token_dtype: str | None = choice(None, *TOKEN_DTYPES)  # type: ignore[assignment]
    ratio: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        models = self.model if isinstance(self.model, tuple) else (self.model,)
        if not models or not all(isinstance(m, Model) for m in models):
            raise TypeError(f"model is {self.model!r}, expected a Model or a tuple of Models")
        if any(m.input_ndim != 1 or m.output_ndim != 1 for m in models):
            reads = "tokens" if any(m.input_ndim == 0 for m in models) else "or gives no vectors"
            raise ValueError(
                f"model reads {reads}, expected models of vectors in a stack: {self.model!r}"
            )
        if len({m.in_features for m in models}) > 1:
            widths = [m.in_features for m in models]
            raise ValueError(f"model has in_features {widths}, expected the same width in all")
        if self.ratio is not None and sum(counts_of(self.ratio, models)) > self.layers:
            raise ValueError(
                f"layers is {self.layers}, expected at least {sum(counts_of(self.ratio, models))} for the "
                f"ratio {self.ratio!r}"
            )
        if len(models) > self.layers:
            raise ValueError(
                f"layers is {self.layers}, expected at least {len(models)}, one for each of the models "
                f"{self.model!r}"
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
        models = self.model if isinstance(self.model, tuple) else (self.model,)
        return models if self.ratio is None else by_ratio(self.ratio, models)

    @property
    def width(self) -> int:
        """The width of the residual stream."""
        return self.models[0].in_features

    @property
    def input_ndim(self) -> int:
        return 0 if self.tokens else 1

    @property
    def blocks(self) -> dict[str, Model]:
        """The recurrent model of each layer."""
        return {f"layer_{i}": self.models[i % len(self.models)] for i in range(self.layers)}

    @property
    def parts(self) -> dict[str, Model]:
        if not self.position:
            return self.blocks
        return {**self.blocks, "position": LearnedPositions(self.width, self.max_length)}

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width = as_draw(key, dtype), self.width
        if self.tokens:
            encoder = {"embedding": draw.normal("encoder", (self.in_features, width))}
        else:
            encoder = nn.dense(draw, "encoder", self.in_features, width, bias=True)
        layers = {name: self._init_layer(m, draw.child(name)) for name, m in self.blocks.items()}
        params = {
            "encoder": encoder,
            **layers,
            "norm": {"scale": draw.ones((width,))},
            "head": nn.dense(draw, "head", width, self.out_features or width, bias=True),
        }
        if self.position:
            shape = (self.max_length, width)
            params["position"] = {"embedding": draw.normal("position", shape, 0.1)}
        return params

    def _init_layer(self, model: Model, draw: Draw) -> Params:
        width, hidden = self.width, int(self.mlp_factor * self.width)
        layer = {"norm": {"scale": draw.ones((width,))}, "model": model.init(draw.child("model"))}
        if model.out_features != width:
            layer["project"] = nn.dense(draw, "project", model.out_features, width)
        if hidden:
            layer["mlp_norm"] = {"scale": draw.ones((width,))}
            layer["mlp"] = init_gated_mlp(draw, width, hidden)
        return layer

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        if self.tokens:
            h = nn.embed(params["encoder"], xs, compute_dtype(self, params, xs))
        else:
            h = nn.linear(params["encoder"], xs)
        if self.position:
            h = run("position", params["position"], h)
        for name in self.blocks:
            h = self._layer(name, params[name], h, run)
        return nn.linear(params["head"], nn.rms_norm(params["norm"], h))

    def _layer(self, name: str, params: Params, h: Array, run: Parts) -> Array:
        y = run(name, params["model"], nn.rms_norm(params["norm"], h))
        y = nn.linear(params["project"], y) if "project" in params else y
        h = h + nn.dropout(y, self.dropout, run.key(name), "model")
        if "mlp" not in params:
            return h
        y = gated_mlp(params["mlp"], nn.rms_norm(params["mlp_norm"], h))
        return h + nn.dropout(y, self.dropout, run.key(name), "mlp")


def counts_of(ratio: str, items: Sequence[T]) -> list[int]:
    """The numbers of a ratio, one for each item.

    Raises:
        ValueError: ``ratio`` is no numbers above 0 with colons between them, one for each item.
    """
    parts = [n.strip() for n in ratio.split(":")] if isinstance(ratio, str) else []
    numbers = [int(n) for n in parts if n.isascii() and n.isdigit() and len(n) < 10]
    if len(numbers) < len(parts) or 0 in numbers or len(numbers) != len(items):
        raise ValueError(
            f"ratio is {ratio!r}, expected a number above 0 for each of {len(items)} models, as '5:1' of two"
        )
    return numbers


def by_ratio(ratio: str, items: Sequence[T]) -> tuple[T, ...]:
    """Each item as often as the ratio says: "5:1" of (a, b) is a five times, then b.

    Raises:
        ValueError: ``ratio`` is no numbers above 0 with colons between them, one for each item.
    """
    counts = counts_of(ratio, items)
    return tuple(item for n, item in zip(counts, items, strict=True) for _ in range(n))
