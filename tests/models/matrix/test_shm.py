"""Promises of the stable Hadamard memory: memorax's numbers, and factors that a key draws."""

from __future__ import annotations

import numpy as np

import memcore
from conftest import Backend
from golden_vectors import load


def test_shm_golden(backend: Backend) -> None:
    entry, a = load("memorax_shm")
    names = {
        "value": "value",
        "key": "key",
        "query": "query",
        "v_c": "calibration",
        "eta": "strength",
    }
    params = {
        "norm": {"scale": a["param/ln/scale"], "bias": a["param/ln/bias"]},
        **{ours: {"kernel": a[f"param/{theirs}/kernel"]} for theirs, ours in names.items()},
        "theta": a["param/theta_table"],
        "output": {name: a[f"param/output_projection/{name}"] for name in ("kernel", "bias")},
    }
    arrays = memcore.backend.tree_map(lambda x: np.asarray(x, "float32"), (params, a["in/x"]))
    model = memcore.SHM(6, state_size=4, thetas=3)
    how = {"starts": backend.asarray(a["in/done"])}
    state, ys = model.apply(*backend.asarray(arrays), **how)
    atol = entry["tolerance"]["float32_impl"]
    np.testing.assert_allclose(np.asarray(ys), a["out/y"], atol=atol)
    np.testing.assert_allclose(np.asarray(state), a["out/M"], atol=atol)


def test_a_key_draws_rows_and_without_one_it_is_the_first(backend: Backend) -> None:
    model, xs = memcore.SHM(4, state_size=3, thetas=7), np.ones((2, 50, 4), "float32")
    params = model.init(0)
    params["theta"] = np.broadcast_to(np.arange(7, dtype="float32")[:, None], (7, 3))
    inputs = model.embed(*backend.asarray((params, xs)))
    assert np.all(np.asarray(inputs["theta"]) == 0)
    drawn = model.perturb(backend.asarray(params), inputs, memcore.as_draw(3))["theta"]
    counts = np.unique(np.asarray(drawn)[..., 0], return_counts=True)
    assert set(counts[0]) == set(range(7)) and counts[1].min() > 2
    assert np.ptp(np.asarray(drawn), axis=-1).max() == 0  # a whole row at a step


def test_entries_neither_vanish_nor_explode() -> None:
    """Calibrations are 1 on average over inputs of both signs, and lie in (0, 2)."""
    model, rng = memcore.SHM(16, state_size=8), np.random.default_rng(0)
    params = model.init(0, "float64")
    inputs = model.embed(params, rng.normal(size=(4000, 16)))
    factors = model.rule_inputs(params, inputs)["a"]
    assert 0 < factors.min() and factors.max() < 2
    assert abs(factors.mean() - 1) < 0.01
