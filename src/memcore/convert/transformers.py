"""transformers: mixers of its models."""

from __future__ import annotations

from memcore.cell import Model
from memcore.convert.sources import Table, source
from memcore.convert.weights import Weights, same, turned
from memcore.models.diagonal.mamba import Mamba


@source("transformers.MambaMixer")
def mamba_mixer(w: Weights) -> tuple[Model, Table]:
    rows, width = w.shape("in_proj.weight")
    (inner, state), (_, _, conv) = w.shape("A_log"), w.shape("conv1d.weight", 3)
    if inner % width or rows != 2 * inner:
        raise ValueError(
            f"weights['in_proj.weight'] has shape {(rows, width)}, expected twice the inner width "
            f"{inner}, and that a multiple of the width"
        )
    rank = w.shape("dt_proj.weight")[1]
    return Mamba(width, state, inner // width, conv, rank), {
        "input/kernel": turned("in_proj.weight"),
        "conv/kernel": lambda w: w.exactly("conv1d.weight", inner, 1, conv)[:, 0].T,
        "conv/bias": same("conv1d.bias"),
        "ssm/projection/kernel": turned("x_proj.weight"),
        "ssm/dt/kernel": turned("dt_proj.weight"),
        "ssm/dt/bias": same("dt_proj.bias"),
        "ssm/A_log": same("A_log"),
        "ssm/d": same("D"),
        "output/kernel": turned("out_proj.weight"),
    }
