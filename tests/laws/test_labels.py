"""A label for every parameter: recurrence, matrix, bias or scale."""

from __future__ import annotations

from typing import Any

import optree
import pytest

import memcore
from cases.models import MODELS

LABELS = {"recurrence", "matrix", "bias", "scale", "memory"}
LRU = memcore.LRU(6, state_size=5)


@pytest.mark.parametrize("name", MODELS)
def test_labels(name: str) -> None:
    """A tree like the parameters', for the masks and multi-transforms of optax."""
    model = MODELS[name]
    params = model.init(0)
    labels = model.labels(params)
    assert optree.tree_structure(labels) == optree.tree_structure(params)
    assert set(optree.tree_leaves(labels)) <= LABELS
    mask = optree.tree_map(lambda label: label == "matrix", labels)
    decayed = optree.tree_map(lambda p, m: 0.9 * p if m else p, params, mask)
    assert optree.tree_structure(decayed) == optree.tree_structure(params)


def test_labels_of_each_kind() -> None:
    def of(model: memcore.Model) -> Any:
        return model.labels(model.init(0))

    wanted = dict.fromkeys(("nu_log", "theta_log", "gamma_log"), "recurrence")
    wanted |= dict.fromkeys(("b_re", "b_im", "c_re", "c_im"), "matrix") | {"d": "scale"}
    assert of(LRU) == wanted
    assert of(memcore.GRU(3))["hidden"] == {"kernel": "matrix", "bias": "bias"}
    net = of(memcore.GatedDeltaNet(8))
    assert net["A_log"] == net["dt_bias"] == "recurrence" and net["norm"] == {"scale": "scale"}
    assert net["query_conv"] == net["output"] == {"kernel": "matrix"}
    stack = of(memcore.ResidualStack(3, model=(LRU, memcore.GRU(6)), position="learned"))
    assert stack["layer_0"]["model"] == wanted
    assert stack["layer_0"]["norm"] == {"scale": "scale"}
    assert stack["position"] == {"embedding": "matrix"} and stack["head"]["bias"] == "bias"
