"""Pre-norm residual stack with gated MLPs.

Xiong et al. 2020, arXiv:2002.04745 (the norm before each branch); RMSNorm, Zhang and Sennrich 2019,
arXiv:1910.07467; SwiGLU, Shazeer 2020, arXiv:2002.05202.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase, Reference
from cases.models.diagonal import lru
from cases.models.gated import gru
from cases.models.matrix import gated_delta_net
from cases.models.reference import float64, rms_norm, silu
from cases.models.window import attention


def residual_stack(
    params: Any,
    xs: Any,
    starts: Any = None,
    state: int | None = None,
    *,
    inner: Callable[[Any, Any, Any], Any],
) -> tuple[int, Any]:
    """xs (T, in) -> (steps since the start, ys (T, out)); inner(params, xs, starts) -> ys (T, d).

    h = x W_encoder + b, or the rows x of a table for tokens xs (T,), (+ E[min(n, L - 1)], n the steps
    since the start), then for every layer h = h + inner(RMSNorm(h)) (W_project, if there is one)
    and, if there is an MLP, m = RMSNorm(h);  h = h + (silu(m W_gate) * (m W_up)) W_down
    y = RMSNorm(h) W_head + b. `inner` begins afresh at xs[0]: its state is not part of this one's.
    """
    p, xs = float64(params), float64(xs)
    if "embedding" in p["encoder"]:
        hs = p["encoder"]["embedding"][xs.astype(int)]
    else:
        hs = xs @ p["encoder"]["kernel"] + p["encoder"]["bias"]
    steps = 0 if state is None else state
    for t in range(len(xs)):
        steps = 0 if starts is not None and starts[t] else steps
        if "position" in p:
            table = p["position"]["embedding"]
            hs[t] += table[min(steps, len(table) - 1)]
        steps += 1
    for i in range(sum(name.startswith("layer_") for name in p)):
        layer = p[f"layer_{i}"]
        ys = np.asarray(inner(layer["model"], rms_norm(hs, layer["norm"]["scale"]), starts))
        hs = hs + (ys @ layer["project"]["kernel"] if "project" in layer else ys)
        if "mlp" not in layer:
            continue
        ms, mlp = rms_norm(hs, layer["mlp_norm"]["scale"]), layer["mlp"]
        gated = silu(ms @ mlp["gate"]["kernel"]) * (ms @ mlp["up"]["kernel"])
        hs = hs + gated @ mlp["down"]["kernel"]
    return steps, rms_norm(hs, p["norm"]["scale"]) @ p["head"]["kernel"] + p["head"]["bias"]


def of(*layers: ModelCase) -> Reference:
    """Of a stack of these; a layer is told by the names of its parameters."""

    def inner(params: Any, xs: Any, starts: Any) -> Any:
        for layer in layers:
            if set(layer.model.init(0)) == set(params):
                return layer.reference(params, xs, starts)
        raise AssertionError(f"no reference for {set(params)}")

    return lambda p, x, s: residual_stack(p, x, s, inner=inner)[1]


def _shape(name: str, *layers: ModelCase, **how: Any) -> ModelCase:
    inside = tuple(layer.model for layer in layers)
    return ModelCase(
        name, memcore.ResidualStack(3, model=inside, out_features=4, **how), of(*layers)
    )


_LRU, _NET, _ROPE = lru.SHAPES[0], gated_delta_net.SHAPES[0], attention.SHAPES[1]
_SMALL_NET = gated_delta_net.CASES[0]
_GRU = ModelCase("gru", memcore.GRU(6, hidden_size=5), gru.ys)

CASES = [
    ModelCase(
        "residual_stack",
        memcore.ResidualStack(
            3,
            model=(_LRU.model, _SMALL_NET.model),
            layers=2,
            out_features=4,
            position="learned",
            max_length=8,
        ),
        of(_LRU, _SMALL_NET),
    ),
    ModelCase(
        "residual_stack_tokens",
        memcore.ResidualStack(7, model=_GRU.model, layers=1, tokens=True, mlp_factor=0),
        of(_GRU),
        NOT_ASSOCIATIVE,
        on_jax=False,
    ),
]
SHAPES = [
    _shape("residual_stack", _LRU),
    _shape("residual_stack_positions", _LRU, position="learned", max_length=4),
    _shape("residual_stack_hybrid", _LRU, _NET, _ROPE, layers=4),
    _shape("residual_stack_ratio", _LRU, _ROPE, layers=3, ratio="2:1"),
]
WRONG = {
    "layers": (lambda: memcore.ResidualStack(3, layers=0), r"^layers is 0, expected a positive"),
    "model": (lambda: memcore.ResidualStack(3, model="gru"), r"^model is 'gru', expected a Model"),
    "model list": (
        lambda: memcore.ResidualStack(3, model=[memcore.GRU(3)]),
        r"^model is \[GRU.*\], expected a Model or a tuple of Models",
    ),
    "ratio": (
        lambda: memcore.ResidualStack(3, model=(memcore.GRU(4),) * 2, ratio="5"),
        r"^ratio is '5', expected a number above 0 for each of 2 models, as '5:1' of two",
    ),
    "ratio and layers": (
        lambda: memcore.ResidualStack(3, model=(memcore.GRU(4),) * 2, layers=5, ratio="5:1"),
        r"^layers is 5, expected at least 6",
    ),
    "model none": (lambda: memcore.ResidualStack(3, model=()), r"^model is \(\), expected"),
    "model widths": (
        lambda: memcore.ResidualStack(3, model=(memcore.GRU(4), memcore.GRU(5))),
        r"^model has in_features \[4, 5\], expected the same width in all",
    ),
    "position": (
        lambda: memcore.ResidualStack(3, position="rope"),
        r"^position is 'rope', expected None or 'learned'",
    ),
    "dropout": (lambda: memcore.ResidualStack(3, dropout=1.0), r"^dropout is 1\.0, expected a"),
    "out_features": (lambda: memcore.ResidualStack(3, out_features=0), r"^out_features is 0, exp"),
    "max_length": (lambda: memcore.ResidualStack(3, max_length=0), r"^max_length is 0, expected"),
    "mlp_factor": (lambda: memcore.ResidualStack(3, mlp_factor=-1.0), r"^mlp_factor is -1\.0, exp"),
}
