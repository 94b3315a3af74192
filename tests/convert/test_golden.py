"""Weights of memax, memorax and transformers against what those libraries computed with them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from golden_vectors import index, load
from memcore.backend import tree_paths
from memcore.convert import SOURCES, from_weights

GOLDEN: dict[str, tuple[str, dict[str, Any]]] = {
    "hf_mamba_mixer": ("transformers.MambaMixer", {}),
    "memax_attention_alibi": ("memax.Attention", {"window": 8, "position": "alibi"}),
    "memax_attention_none": ("memax.Attention", {"window": 8}),
    "memax_attention_rope": ("memax.Attention", {"window": 8, "position": "rope"}),
    "memax_elman": ("memax.Elman", {}),
    "memax_ffm": ("memax.FFM", {}),
    "memax_gru": ("memax.GRU", {}),
    "memax_indrnn": ("memax.IndRNN", {}),
    "memax_linear_recurrent": ("memax.LinearRecurrent", {"in_features": 6}),
    "memax_mgu": ("memax.MGU", {}),
    "memax_pspherical": ("memax.PSpherical", {}),
    "memax_spherical": ("memax.Spherical", {}),
    "memorax_ffm": ("memorax.FFMCell", {}),
    "memorax_mingru": ("memorax.MinGRUCell", {}),
    "memorax_rtu": ("memorax.RTUCell", {}),
    "memorax_s5_bilinear": ("memorax.S5Cell", {"discretisation": "bilinear"}),
    "memorax_s5_zoh": ("memorax.S5Cell", {}),
    "memax_nmax": ("memax.NMax", {}),
    "memax_lru": ("memax.LRU", {}),
    "memax_lstm": ("memax.LSTM", {}),
    "memorax_linear_attention": ("memorax.LinearAttentionCell", {}),
    "memorax_lru": ("memorax.LRUCell", {}),
    "memorax_mlstm": ("memorax.mLSTMCell", {}),
    "memorax_slstm": ("memorax.sLSTMCell", {}),
    "memorax_shm": ("memorax.SHMCell", {}),
    "memorax_self_attention_alibi": ("memorax.SelfAttention", {"position": "alibi"}),
    "memorax_self_attention_rope": ("memorax.SelfAttention", {"position": "rope"}),
}
"""The entry, the source, and the settings."""
GOES_ON = {"memorax_mlstm"}
"""Its convolution reads across starts: behind them it is another model's."""


def weights(arrays: dict[str, Any]) -> dict[str, Any]:
    found = {name: leaf for name, leaf in arrays.items() if name.startswith("param/")}
    return {name.removeprefix("param/"): leaf for name, leaf in found.items()}


def starts(arrays: dict[str, Any]) -> Any:
    return next((arrays[name] for name in ("in/start", "in/done") if name in arrays), None)


def comparable(name: str, arrays: dict[str, Any]) -> Any:
    """Which steps, ``(B, T)``."""
    first = starts(arrays)
    if name not in GOES_ON:
        return np.ones(arrays["out/y"].shape[:2], bool)
    seen = np.cumsum(first, axis=-1) == first[:, :1]
    assert seen.sum() > 6
    return seen


def converted(name: str, arrays: dict[str, Any]) -> tuple[Any, Any]:
    source, settings = GOLDEN[name]
    return from_weights(source, weights(arrays), **settings)


@pytest.mark.parametrize("name", GOLDEN)
def test_outputs_are_those_of_the_library(name: str, backend: Any, x64: None) -> None:
    entry, arrays = load(name)
    model, params = converted(name, arrays)
    xs, s = backend.asarray((arrays["in/x"], starts(arrays)))
    ys = backend.to_numpy(model.apply(backend.asarray(params), xs, starts=s)[1])
    exact = entry["tolerance"]["float64_impl"]
    seen = comparable(name, arrays)
    np.testing.assert_allclose(ys[seen], arrays["out/y"][seen], rtol=0, atol=exact or 1e-5)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", GOLDEN)
def test_step_by_step_as_well(name: str) -> None:
    import memcore

    _, arrays = load(name)
    model, params = converted(name, arrays)
    state, first = memcore.initial_state(model, params, (2,)), starts(arrays)
    seen = comparable(name, arrays)
    for t in range(5):
        start = None if first is None else first[:, t]
        state, y = memcore.step(model, params, state, arrays["in/x"][:, t], start=start)
        want = arrays["out/y"][:, t][seen[:, t]]
        np.testing.assert_allclose(y[seen[:, t]], want, rtol=0, atol=1e-5)


@pytest.mark.backend("numpy")
def test_every_vector_of_these_libraries_is_converted() -> None:
    theirs = {name for name in index() if name.startswith(("memax_", "memorax_", "hf_mamba_"))}
    assert set(GOLDEN) == theirs


@pytest.mark.backend("numpy")
def test_every_source_of_theirs_has_a_vector() -> None:
    theirs = {
        name
        for name, found in SOURCES.items()
        if found.build and name.split(".")[0] in ("memax", "memorax", "transformers")
    }
    assert {source for source, _ in GOLDEN.values()} == theirs


@pytest.mark.backend("numpy")
def test_names_of_the_release_before() -> None:
    """memorax 1.0.1 has the same sLSTM under other names."""
    rooms = {
        "input_projection": "in_proj",
        "output_projection": "out_proj",
        "causal_conv": "CausalConv1d_0",
        "norm": "MultiHeadLayerNorm_0",
        **{f"{gate}_gate": gate for gate in "ifzo"},
    }
    found = weights(load("memorax_slstm")[1])
    split = {name: name.partition("/") for name in found}
    renamed = {
        rooms.get(room, room) + dot + leaf: found[name] for name, (room, dot, leaf) in split.items()
    }
    assert set(renamed) & set(found) == {f"{g}_bias" for g in "ifzo"} | {
        f"r{g}/kernel" for g in "ifzo"
    }
    (model, params), (same, again) = (
        from_weights("memorax.sLSTMCell", w) for w in (found, renamed)
    )
    assert model == same
    for path, leaf in tree_paths(params):
        np.testing.assert_array_equal(leaf, dict(tree_paths(again))[path])


@pytest.mark.backend("numpy")
@pytest.mark.parametrize(
    "change", [lambda leaf: leaf[0], lambda leaf: leaf[None], lambda leaf: leaf[..., :-1]]
)
@pytest.mark.parametrize("name", ["f_bias", "f_gate/kernel", "rf/kernel"])
def test_a_wrong_shape_of_a_gate_is_named(name: str, change: Any) -> None:
    found = weights(load("memorax_slstm")[1])
    given = change(found[name])
    words = re.escape(f"weights[{name!r}] has shape {given.shape}, expected {found[name].shape}")
    with pytest.raises(ValueError, match=words):
        from_weights("memorax.sLSTMCell", {**found, name: given})


@pytest.mark.backend("numpy")
def test_blocks_of_another_width_than_the_map_in_front_are_named() -> None:
    found = weights(load("memorax_slstm")[1])
    found["input_projection/kernel"] = np.tile(found["input_projection/kernel"], 2)
    words = re.escape("weights['i_gate/kernel'] has shape (2, 3, 3), expected (2, 6, 6)")
    with pytest.raises(ValueError, match=words):
        from_weights("memorax.sLSTMCell", found)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize(
    ("dtype", "settings", "lowest"),
    [
        ("float32", {}, -0.07664340),
        ("float64", {}, -0.68314718),
        ("float32", {"max_period": 64, "epsilon": 0.5}, -0.88629436),
    ],
)
def test_decays_of_memorax_are_clipped(dtype: str, settings: Any, lowest: float) -> None:
    """At ``log(max) / max_period - epsilon``, where the decays of a whole call of memorax would overflow."""
    found = {name: leaf.astype(dtype) for name, leaf in weights(load("memorax_ffm")[1]).items()}
    found["alpha"] = np.array([-2.0, -0.0625, 0.5], dtype)
    alpha = from_weights("memorax.FFMCell", found, **settings)[1]["alpha"]
    np.testing.assert_allclose(alpha, [lowest, -0.0625, -1e-8], rtol=1e-6)
    assert alpha.dtype == dtype
