"""A stack by a ratio is the stack of the models written out."""

from __future__ import annotations

import numpy as np

import memcore

LRU, GRU = memcore.LRU(4, state_size=3), memcore.GRU(4, hidden_size=4)


def test_a_ratio_is_the_models_written_out() -> None:
    short = memcore.ResidualStack(3, model=(LRU, GRU), ratio="5:1", layers=12)
    long = memcore.ResidualStack(3, model=(*[LRU] * 5, GRU), layers=12)
    assert short.models == long.models and short.parts == long.parts
    assert [type(model) for model in short.parts.values()] == 2 * (
        [memcore.LRU] * 5 + [memcore.GRU]
    )
    params, xs = short.init(0), np.ones((5, 3), "float32")
    np.testing.assert_array_equal(short.apply(params, xs)[1], long.apply(params, xs)[1])
    assert memcore.from_config(memcore.to_config(short)) == short
