"""The trunk of memax' networks."""

from __future__ import annotations

from dataclasses import dataclass, field

from memcore import nn
from memcore.backend import as_draw, namespace
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.fields import count, number
from memcore.models.gated.gru import GRU
from memcore.registry import register
from memcore.types import Dtype


@register("multi_head_trunk")
@dataclass(frozen=True)
class MultiHeadTrunk(Model):
    """Layers of a model, each mixed by heads, normalised and bent; no residuals.

        h = W_in x + b
        h = leaky_relu(LN([head_1(model_i(h)), .., head_H(model_i(h))])),   head(z) = W z + b, of width d / H
        y = W_out h + b

    LN has no scale and no bias. The heads side by side are one linear map: H says how it is written down.
    State: a dict of the layers' states. Cost: the models', and that of a product per layer.

    Source: `memax.MultiHeadResidualModel`, and with one head `memax.ResidualModel`, whose code has no
    residual connection either; linear maps begin as those of Equinox.

    Args:
        in_features: width of the inputs.
        model: the model of each layer; its ``in_features`` d is the width of the trunk.
        layers: number of layers.
        out_features: width of the outputs; d if None.
        slope: of the leaky relu below 0.
    """

    model: Model = field(default=GRU(64))
    layers: int = count(2)
    out_features: int | None = count(None)  # type: ignore[assignment]
    slope: float = number(0.01, least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        model = self.model
        if not isinstance(model, Model) or model.input_ndim != 1 or model.output_ndim != 1:
            raise ValueError(f"model is {model!r}, expected a Model that reads and gives vectors")
        if self.out_features is None:
            object.__setattr__(self, "out_features", model.in_features)

    @property
    def parts(self) -> dict[str, Model]:
        return {f"layer_{i}": self.model for i in range(self.layers)}

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width = as_draw(key, dtype), self.model.in_features
        params = {"input": nn.uniform_dense(draw, "input", self.in_features, width, bias=True)}
        for name, part in self.parts.items():
            own = draw.child(name)
            mixer = nn.uniform_dense(own, "mixer", part.out_features, width, bias=True)
            params[name] = {"model": part.init(own.child("model")), "mixer": mixer}
        last = self.out_features or width
        return {**params, "output": nn.uniform_dense(draw, "output", width, last, bias=True)}

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        xp, h = namespace(xs), nn.linear(params["input"], xs)
        for name in self.parts:
            y = run(name, params[name]["model"], h)
            y = nn.standardise(nn.linear(params[name]["mixer"], y), 1e-5)
            h = xp.where(y > 0, y, self.slope * y)
        return nn.linear(params["output"], h)
