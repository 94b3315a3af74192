"""A block around a model: norms in front, joins behind, and an MLP."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import Draw, as_draw
from memcore.cell import Array, Key, Model, Params
from memcore.compose.wrapper import Wrapper
from memcore.engine import Parts
from memcore.fields import choice, number
from memcore.layers.join import JOINS, init_join, join
from memcore.layers.mlp import gated_mlp, init_gated_mlp, init_mlp, mlp
from memcore.registry import register
from memcore.types import Dtype


@register("block")
@dataclass(frozen=True)
class Block(Wrapper):
    """A model with a norm in front and a join behind, and an MLP in the same way.

        h = join(x, model(N(x)))      (projected, if the model has another width)
        y = join(h, mlp(N(h)))        (left out without an MLP)

    The pre-norm block of Transformers. With ``join="gru"`` it is that of GTrXL (of relu's, as in its
    figure 1), with ``"gate"`` the gated residual of memorax; ``Block(MLSTM(d), mlp=None)`` is the xLSTM's
    block with projections before the memory, ``Block(SLSTMLayer(d), mlp="glu", mlp_factor=4 / 3)`` the one
    with projections behind it.

    State: that of the model. Cost: the model's, and that of a few products per step.

    Source: Xiong et al., arXiv:2002.04745; Parisotto et al., arXiv:1910.06764; Beck et al., arXiv:2405.04517,
    figures 9 and 10.

    Args:
        model: the model inside.
        norm: ``"layer"`` or ``"rms"``.
        join: ``"sum"``, ``x + y``; ``"gate"``, ``x + sigmoid(W x + b) y``; ``"gru"``, the gates of a GRU.
        mlp: ``"glu"``, ``W_down (gelu(W_gate n) * W_up n)``; ``"mlp"``, two layers with a gelu and biases;
            None for none.
        mlp_factor: hidden width of the MLP over the width.
    """

    norm: str = choice("layer", "layer", "rms")
    join: str = choice("sum", *JOINS)
    mlp: str | None = choice(None, "glu", "mlp")
    mlp_factor: float = number(4.0, above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.input_ndim != 1 or self.output_ndim != 1:
            raise ValueError(f"model is {self.model!r}, expected one that reads and gives vectors")

    @property
    def out_features(self) -> int:
        return self.in_features

    @property
    def parts(self) -> dict[str, Model]:
        return {"model": self.model}

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width = as_draw(key, dtype), self.in_features
        params = {
            "norm": self._init_norm(draw),
            "model": self.model.init(draw.child("model")),
            **init_join(draw, "join", self.join, width),
        }
        if self.model.out_features != width:
            params["project"] = nn.dense(draw, "project", self.model.out_features, width)
        if self.mlp is not None:
            make = init_gated_mlp if self.mlp == "glu" else init_mlp
            params["mlp_norm"] = self._init_norm(draw)
            params["mlp"] = make(draw.child("mlp"), width, max(1, round(self.mlp_factor * width)))
            params |= init_join(draw, "mlp_join", self.join, width)
        return params

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        y = run("model", params["model"], self._norm(params["norm"], xs))
        y = nn.linear(params["project"], y) if "project" in params else y
        h = join(params.get("join"), self.join, xs, y)
        if self.mlp is None:
            return h
        n = self._norm(params["mlp_norm"], h)
        y = gated_mlp(params["mlp"], n, nn.gelu) if self.mlp == "glu" else mlp(params["mlp"], n)
        return join(params.get("mlp_join"), self.join, h, y)

    def _init_norm(self, draw: Draw) -> Params:
        scale = {"scale": draw.ones((self.in_features,))}
        return scale if self.norm == "rms" else {**scale, "bias": draw.zeros((self.in_features,))}

    def _norm(self, params: Params, x: Array) -> Array:
        return nn.rms_norm(params, x) if self.norm == "rms" else nn.layer_norm(params, x)
