"""Saliency, the length of a memory, contamination: against finite differences and known answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend
from memcore import inspect

T = 7
MODELS = {
    "gru": memcore.GRU(3, hidden_size=4),
    "lru": memcore.LRU(3, state_size=4),
    "gated_delta_net": memcore.GatedDeltaNet(4, heads=2, conv_size=2),
    "attention": memcore.Attention(4, heads=2, window=3),
    "stack": memcore.ResidualStack(3, model=memcore.GRU(4, hidden_size=4), layers=2),
}


def case(name: str, seed: int = 0) -> tuple[memcore.Model, Any, np.ndarray]:
    model = MODELS[name]
    xs = np.random.default_rng(seed).normal(size=(2, T, model.in_features))
    return model, model.init(0, "float64"), xs


@pytest.mark.backend("jax")
@pytest.mark.parametrize("starts", [None, [0, 0, 0, 1, 0, 0, 0]], ids=["whole", "starts"])
@pytest.mark.parametrize("name", MODELS)
def test_saliency_is_that_of_finite_differences(
    name: str, starts: list[int] | None, backend: Backend, x64: None
) -> None:
    """The reference runs the model on NumPy."""
    model, params, xs = case(name)
    flags = None if starts is None else np.array([starts, [0] * T])
    got = backend.to_numpy(inspect.saliency(model, params, xs, flags))
    want, step = np.zeros((2, T, T)), 1e-6
    for s in range(T):
        for i in range(model.in_features):
            moved = [xs.copy() for _ in range(2)]
            moved[0][:, s, i] += step
            moved[1][:, s, i] -= step
            high, low = (model.apply(params, x, starts=flags)[1] for x in moved)
            want[:, :, s] += np.sum(((high - low) / (2 * step)) ** 2, axis=-1)
    np.testing.assert_allclose(got, np.sqrt(want), rtol=1e-5, atol=1e-7)
    assert not got[:, *np.triu_indices(T, 1)].any()
    if starts is not None:
        assert not got[0, 3:, :3].any() and got[1, 3:, :3].any()


@pytest.mark.backend("jax")
def test_saliency_takes_a_state_and_refuses_tokens(backend: Backend) -> None:
    model, params, xs = case("gru")
    params, xs = model.init(0), xs.astype("float32")
    state, _ = model.apply(params, xs[:, :3])
    cut = inspect.saliency(model, params, xs[:, 3:], state=state)
    whole = inspect.saliency(model, params, xs)
    np.testing.assert_allclose(cut, np.asarray(whole)[:, 3:, 3:], rtol=1e-4, atol=1e-6)
    tokens = memcore.ResidualStack(5, model=memcore.GRU(4), layers=1, tokens=True)
    with pytest.raises(TypeError, match="which reads tokens: a token has no derivative"):
        inspect.saliency(tokens, tokens.init(0), np.zeros((2, T), "int32"))
    with pytest.raises(ValueError, match=r"xs has shape \(3,\), expected"):
        inspect.saliency(model, params, np.zeros(3, "float32"))


@pytest.mark.backend("jax")
def test_saliency_looks_at_its_arguments_before_jit_hides_them(backend: Backend) -> None:
    model, params, xs = case("gru")
    params, xs = model.init(0), xs.astype("float32")
    with pytest.raises(ValueError, match="starts has the value 2, expected only 0 and 1"):
        inspect.saliency(model, params, xs, np.array([0, 2, 0, 0, 0, 0, 0]))
    for wrong in ("gru", None, memcore.GRU):
        with pytest.raises(TypeError, match=r"model is .*, expected a memcore.Model"):
            inspect.saliency(wrong, params, xs)
    given = inspect.saliency(model, params, xs, [0, 0, 1, 0, 0, 0, 0])
    assert not np.asarray(given)[:, 2:, :2].any()


@pytest.mark.backend("jax")
def test_what_is_no_number_has_no_saliency(backend: Backend) -> None:
    model, params, xs = case("attention")
    params, xs = model.init(0), xs.astype("float32")
    xs[0, 2] = np.nan
    seen = np.asarray(inspect.saliency(model, params, xs, [0, 0, 0, 0, 1, 0, 0]))
    broken = np.isnan(seen).any(-1)
    assert broken[0].tolist() == [False, False, True, True, False, False, False]
    assert not broken[1].any() and not seen[0, 4:, :4].any()
    lengths = np.asarray(inspect.effective_length(seen))
    assert np.isnan(lengths[0]) and 1 <= lengths[1] <= 3


def test_effective_length(backend: Backend) -> None:
    eye, lower = np.eye(6), np.tril(np.ones((6, 6)))
    window = lower - np.tril(np.ones((6, 6)), -3)
    seen = backend.asarray(np.stack([eye, window, lower, 0 * eye]).astype("float32"))
    got = backend.to_numpy(inspect.effective_length(seen, share=1.0))
    np.testing.assert_allclose(got, [1, (1 + 2 + 3 * 4) / 6, 3.5, 0])
    half = backend.to_numpy(inspect.effective_length(seen, share=0.5))
    np.testing.assert_allclose(half[2], (1 + 1 + 2 + 2 + 3 + 3) / 6)
    later = backend.asarray(np.array([[1.0, 5.0], [0.0, 1.0]], "float32"))  # not of a causal model
    np.testing.assert_allclose(backend.to_numpy(inspect.effective_length(later)), 1)
    for share in (0, 1.5, None, "all"):
        with pytest.raises(ValueError, match=f"share is {share!r}, expected"):
            inspect.effective_length(seen, share)
    with pytest.raises(ValueError, match=r"saliency has shape \(6,\), expected \(..., T, T\)"):
        inspect.effective_length(np.ones(6))
    for wrong in (None, np.ones((2, 2), int)):
        with pytest.raises(TypeError, match="(?s)saliency is .*, expected floats"):
            inspect.effective_length(wrong)


@pytest.mark.parametrize("name", MODELS)
def test_contamination(name: str, backend: Backend) -> None:
    model, params, xs = case(name)
    params, xs = model.init(0), xs.astype("float32")
    flags = np.array([[0, 0, 0, 0, 0, 1, 0], [0] * T], bool)
    got = backend.to_numpy(
        inspect.contamination(model, *backend.asarray((params, xs)), 2, backend.asarray(flags))
    )
    assert got.shape == (2, T) and (got[:, 2] > 0).all()
    assert not got[:, :2].any() and not got[0, 5:].any()
    # Two layers of a window of three steps, or one: what is behind it is clean.
    assert got[1, 5:].any() == (name != "attention")
    clean = model.apply(params, xs, starts=flags)[1]
    worse = xs.copy()
    worse[:, 2] *= 10
    distance = np.linalg.norm(model.apply(params, worse, starts=flags)[1] - clean, axis=-1)
    size = np.sqrt(np.mean(np.sum(clean**2, axis=-1), axis=-1, keepdims=True))
    np.testing.assert_allclose(got, distance / size, rtol=1e-4, atol=1e-5)


def test_contamination_says_what_does_not_fit() -> None:
    model, params, xs = case("gru")
    for at in (-1, T, 1.5, True, None):
        with pytest.raises(ValueError, match=f"at is {at}, expected a step of xs"):
            inspect.contamination(model, params, xs, at)
    with pytest.raises(TypeError, match="xs has dtype int64, expected float"):
        inspect.contamination(model, params, np.zeros((T, 3), "int64"), 0)

    for outlier in ("big", np.inf, None):
        with pytest.raises(ValueError, match="outlier is .*, expected a number"):
            inspect.contamination(model, params, xs, 0, outlier=outlier)
    with pytest.raises(ValueError, match=r"xs has shape \(7, 2\), expected \(..., T, 3\)"):
        inspect.contamination(model, params, np.zeros((T, 2)), 0)


@pytest.mark.backend("numpy")
@pytest.mark.filterwarnings("error")
def test_contamination_beside_outputs_that_are_all_zero(backend: Backend) -> None:
    model = memcore.Identity(2)
    felt = inspect.contamination(model, model.init(0), np.zeros((T, 2)), 3)
    np.testing.assert_array_equal(felt, np.zeros(T))


@pytest.mark.backend("numpy")
@pytest.mark.requires("matplotlib")
def test_a_picture(tmp_path: Path, backend: Backend) -> None:
    inspect.draw(np.tril(np.ones((6, 6))), tmp_path / "a.png", title="six steps")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match=r"saliency has shape \(2, 6, 6\), expected \(T, T\)"):
        inspect.draw(np.ones((2, 6, 6)), tmp_path / "b.png")
    with pytest.raises(ValueError, match="path is .*b.xyz', expected one that ends in .png"):
        inspect.draw(np.ones((6, 6)), tmp_path / "b.xyz")
    with pytest.raises(FileNotFoundError, match="path is .*, whose folder is not there"):
        inspect.draw(np.ones((6, 6)), tmp_path / "none" / "b.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png"]


@pytest.mark.backend("jax")
@pytest.mark.requires("matplotlib")
def test_the_page_runs(
    pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: Backend
) -> None:
    text = (pytestconfig.rootpath / "docs/inspect.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["seen"].shape == (64, 64) and names["felt"].shape == (64,)
    assert (tmp_path / "saliency.png").exists()
