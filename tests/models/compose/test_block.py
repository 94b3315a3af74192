"""Promises of blocks: GTrXL begins near to the identity, and gates pass what they should."""

from __future__ import annotations

import numpy as np

import memcore
from conftest import Backend

WIDTH = 16


def distance(join: str) -> float:
    """How far a block at its beginning is from the identity, over the size of its inputs."""
    model = memcore.Block(memcore.LRU(WIDTH), join=join)
    xs = np.random.default_rng(0).normal(size=(4, 20, WIDTH))
    ys = model.apply(model.init(0, "float64"), xs)[1]
    return float(np.abs(ys - xs).mean() / np.abs(xs).mean())


def test_gates_of_gtrxl_begin_near_to_the_identity() -> None:
    assert distance("gru") < 0.4 * distance("sum") and distance("gate") < distance("sum")


def test_a_gate_that_is_shut_is_the_identity(backend: Backend) -> None:
    for join, bias in (("gru", 1e4), ("gate", -1e4)):
        model = memcore.Block(memcore.LRU(WIDTH), join=join, mlp="glu")
        params, xs = model.init(0), np.ones((3, WIDTH), "float32")
        for name in ("join", "mlp_join"):
            params[name]["bias"] = np.full(WIDTH, bias, "float32")
        ys = model.apply(*backend.asarray((params, xs)))[1]
        np.testing.assert_allclose(np.asarray(ys), xs, atol=1e-6)


def test_recipes_of_papers_are_made_of_blocks() -> None:
    """GTrXL's block over segments, and the xLSTM's with projections in front."""
    attention = memcore.SegmentAttention(WIDTH, segment=4)
    gtrxl = memcore.Block(attention, join="gru", mlp="mlp")
    xlstm = memcore.Block(memcore.MLSTM(WIDTH))
    stack = memcore.ResidualStack(3, model=(gtrxl, xlstm), layers=2, mlp_factor=0)
    assert gtrxl.grid == stack.grid == 4 and xlstm.out_features == WIDTH
    assert stack.apply(stack.init(0), np.ones((2, 9, 3), "float32"))[1].shape == (2, 9, WIDTH)


def test_the_xlstm_block_with_projections_behind_it_streams() -> None:
    model = memcore.Block(memcore.SLSTMLayer(WIDTH), mlp="glu", mlp_factor=4 / 3)
    params, xs = model.init(0, "float64"), np.random.default_rng(0).normal(size=(2, 9, WIDTH))
    state, first = model.apply(params, xs[:, :4])
    rest = model.apply(params, xs[:, 4:], state)[1]
    whole = np.concatenate([first, rest], axis=1)
    np.testing.assert_allclose(whole, model.apply(params, xs)[1], atol=1e-12)
    assert params["mlp"]["up"]["kernel"].shape == (WIDTH, 21)
