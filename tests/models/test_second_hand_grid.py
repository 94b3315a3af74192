"""The Titans, the Recurrent Memory Transformer, LaCT and ATLAS beside references of a second hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend
from models import second_hand_grid as other

D, T = 8, 23
STARTS = {
    "none": np.zeros(T, bool),
    "at a border": np.isin(np.arange(T), (8,)),
    "inside": np.isin(np.arange(T), (5, 12, 13)),
}


def shaken(params: Any, rng: np.random.Generator) -> Any:
    """So that no scale is 1 and no bias 0, as many are when drawn."""
    if isinstance(params, dict):
        return {name: shaken(part, rng) for name, part in params.items()}
    return np.asarray(params) + 0.1 * rng.normal(size=np.shape(params))


def case(reference: Callable[..., Any], make: Callable[..., memcore.Model], **options: Any) -> Any:
    """The model's options are the reference's, but for names."""
    names = {"memory_tokens": "m", "muon": "orthogonal"}
    if reference is other.lact:
        names["mini_batch"] = "chunk"
    theirs = {names.get(name, name): value for name, value in options.items()}
    if "position" in theirs:
        theirs["rope"] = theirs.pop("position") == "rope"
    theirs.pop("persistent", None)
    theirs.pop("hidden_size", None)
    return make(D, **options), lambda p, xs, starts: reference(p, xs, starts, **theirs)


def rmt(**options: Any) -> Any:
    return case(other.rmt, memcore.RMT, heads=2, segment=4, memory_tokens=2, **options)


def lact(**options: Any) -> Any:
    sizes = {"heads": 2, "attention_heads": 4, "window": 5, "mini_batch": 4, "hidden_size": 3}
    return case(other.lact, memcore.LaCT, **{**sizes, **options})


CASES: dict[str, Any] = {
    "mac": case(other.titans_mac, memcore.TitansMAC, heads=2, segment=4, persistent=3),
    "mac_linear": case(other.titans_mac, memcore.TitansMAC, heads=2, segment=5, depth=1),
    "mag": case(other.titans_mag, memcore.TitansMAG, heads=2, window=5, mini_batch=3),
    "mal": case(other.titans_mal, memcore.TitansMAL, heads=2, window=5, mini_batch=3),
    "mal_exact": case(other.titans_mal, memcore.TitansMAL, heads=2, window=3, mini_batch=1),
    "rmt": rmt(),
    "rmt_rope": rmt(position="rope"),
    "rmt_xl": rmt(xl=True),
    "rmt_xl_rope": rmt(xl=True, position="rope"),
    "rmt_encoder": rmt(causal=False),
    "rmt_decoder": rmt(causal_memory=True),
    "rmt_separate": rmt(separate=True),
    "rmt_write_to_write": rmt(separate=True, write_to_write=True),
    "rmt_past": rmt(past=2),
    "rmt_past_seen": rmt(past=2, mask_future=False, separate=True, causal_memory=True),
    "lact": lact(),
    "lact_plain": lact(momentum=False, window=3, hidden_size=6),
    "lact_muon": lact(muon=True),
}


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("where", STARTS)
@pytest.mark.parametrize("name", CASES)
def test_the_numbers_of_another_hand(name: str, where: str, backend: Backend) -> None:
    model, reference = CASES[name]
    params = shaken(model.init(4, "float64"), np.random.default_rng(7))
    xs, starts = np.random.default_rng(0).normal(size=(T, D)), STARTS[where]
    _, ys = model.apply(params, xs, starts=starts)
    want = reference(params, xs, starts)
    np.testing.assert_allclose(ys, want, rtol=0, atol=1e-11 * np.abs(ys).max())


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("degree", [1, 2])
def test_atlas_of_another_hand(degree: int, backend: Backend) -> None:
    """Few steps: the orthogonalisation multiplies rounding errors by up to 485 in each."""
    model, reference = case(other.atlas, memcore.Atlas, heads=2, window=3, degree=degree)
    params = shaken(model.init(4, "float64"), np.random.default_rng(7))
    xs, starts = np.random.default_rng(0).normal(size=(7, D)), np.arange(7) == 3
    _, ys = model.apply(params, xs, starts=starts)
    np.testing.assert_allclose(ys, reference(params, xs, starts), rtol=0, atol=1e-8)
