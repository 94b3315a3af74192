"""Inputs, tokens and parameters as people bring them: what is wrong is named, or stays where it is."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import optree
import pytest

import memcore
from cases.checks import close
from conftest import Backend
from memcore.ops.window.positions import rope

WORDS = memcore.ResidualStack(7, model=memcore.GRU(6, hidden_size=6), layers=1, tokens=True)
GRU = memcore.GRU(3, hidden_size=4)
STARTS = np.broadcast_to(np.arange(9) == 5, (2, 9))


@pytest.mark.parametrize("padding", [-100, 7, 2**31 - 1, -1])
def test_padding_may_be_any_token(padding: int, backend: Backend) -> None:
    params, rng = WORDS.init(0), np.random.default_rng(0)
    valid = rng.random((2, 9)) < 0.7
    xs = rng.integers(0, 7, (2, 9)).astype(np.int32)
    padded = np.where(valid, xs, np.int32(padding))
    arrays = backend.asarray((params, xs, padded, valid, STARTS))
    params, xs, padded, valid, starts = arrays
    want = WORDS.apply(params, xs, starts=starts, valid=valid)
    close(WORDS.apply(params, padded, starts=starts, valid=valid), want, 0)
    if backend.name == "jax":
        import jax

        def loss(params: Any, xs: Any) -> Any:
            return (WORDS.apply(params, xs, starts=starts, valid=valid)[1] ** 2).sum()

        close(jax.grad(loss)(params, padded), jax.grad(loss)(params, xs), 0)


@pytest.mark.parametrize("size", [3e38, np.inf, np.nan])
def test_padding_may_be_any_number(size: float, backend: Backend) -> None:
    rng = np.random.default_rng(0)
    valid, xs = rng.random((2, 9)) < 0.7, rng.standard_normal((2, 9, 8)).astype(np.float32)
    padded = np.where(valid[..., None], xs, np.float32(size))
    for model in (memcore.GRU(8), memcore.Attention(8, heads=2), memcore.GatedDeltaNet(8, heads=2)):
        params = model.init(0)
        args = backend.asarray((params, xs, padded, valid))
        want = model.apply(args[0], args[1], valid=args[3])
        close(model.apply(args[0], args[2], valid=args[3]), want, 0)
        if backend.name == "jax":
            import jax

            def loss(params: Any, xs: Any, model: Any = model, valid: Any = args[3]) -> Any:
                return (model.apply(params, xs, valid=valid)[1] ** 2).sum()

            close(jax.grad(loss)(args[0], args[2]), jax.grad(loss)(args[0], args[1]), 0)


@pytest.mark.parametrize("token", [-1, 7, 100])
def test_a_token_outside_of_the_vocabulary(token: int, backend: Backend) -> None:
    params, xs = WORDS.init(0), np.random.default_rng(0).integers(0, 7, (2, 9)).astype(np.int32)
    want = WORDS.apply(params, xs, starts=STARTS)[1]
    bad = xs.copy()
    bad[0, 2] = token
    args = backend.asarray((params, bad, STARTS))
    if backend.name != "jax":
        with pytest.raises(
            ValueError, match=r"^xs has tokens outside of 0 to 6, expected those of"
        ):
            WORDS.apply(args[0], args[1], starts=args[2])
        return
    import jax

    ys = np.asarray(WORDS.apply(args[0], args[1], starts=args[2])[1])
    assert np.isnan(ys[0, 2:5]).all()
    close((ys[0, :2], ys[0, 5:], ys[1]), (want[0, :2], want[0, 5:], want[1]), 1e-5)

    def loss(params: Any) -> Any:
        return (WORDS.apply(params, args[1], starts=args[2])[1][:, 5:] ** 2).sum()

    assert all(np.isfinite(g).all() for g in optree.tree_leaves(jax.grad(loss)(args[0])))


def with_leaf(value: Any) -> dict[str, Any]:
    params = GRU.init(0)
    return {**params, "input": {**params["input"], "bias": value}}


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "shape": (
        lambda: with_leaf(np.zeros((7, 1, 12), np.float32)),
        ValueError,
        r"^params has the leaf 'input/bias' of shape \(7, 1, 12\), expected \(12,\) for GRU",
    ),
    "ints": (
        lambda: with_leaf(np.zeros(12, int)),
        TypeError,
        r"'input/bias' of .*int(64|32), expected",
    ),
    "complex": (
        lambda: with_leaf(np.zeros(12, complex)),
        TypeError,
        "of .*complex(128|64), expected an",
    ),
    "bools": (lambda: with_leaf(np.zeros(12, bool)), TypeError, "of .*bool, expected an array of"),
    "string": (
        lambda: with_leaf("zeros"),
        TypeError,
        r"^params has the leaf 'input/bias' of str, exp",
    ),
    "extra": (
        lambda: {**GRU.init(0), "d": np.ones(3)},
        ValueError,
        r"^params has the leaf 'd', which",
    ),
    "missing": (
        lambda: {"input": GRU.init(0)["input"]},
        ValueError,
        "^params lacks the leaf 'hidden",
    ),
    "module": (
        lambda: {"params": {"memory": GRU.init(0)}},
        ValueError,
        r"the core's dict seems to be params\['params'\]\['memory'\]$",
    ),
    "none": (lambda: None, TypeError, "^params is a NoneType, expected the model's dict of arrays"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_parameters_are_named(name: str, backend: Backend) -> None:
    make, error, message = WRONG[name]
    good, xs = GRU.init(0), backend.asarray(np.zeros((2, 5, 3), np.float32))
    wrong = make()
    if backend.name != "numpy" and name not in ("string", "none"):
        with backend.x64():
            wrong = backend.asarray(wrong)
    state = memcore.initial_state(GRU, backend.asarray(good), (2,))
    for run in (
        lambda: GRU.apply(wrong, xs),
        lambda: memcore.scan(GRU, wrong, xs),
        lambda: memcore.step(GRU, wrong, state, xs[:, 0, ...]),
    ):
        with pytest.raises(error, match=message):
            run()


def test_a_leaf_that_was_replaced_is_noticed(backend: Backend) -> None:
    """The second call is looked at as the first one was, though it is compiled already."""
    params, x = backend.asarray((GRU.init(0), np.ones((2, 3), np.float32)))
    state = memcore.initial_state(GRU, params, (2,))
    for _ in range(2):
        memcore.step(GRU, params, state, x)
    params["hidden"]["bias"] = params["hidden"]["kernel"]
    with pytest.raises(ValueError, match=r"^params has the leaf 'hidden/bias' of shape \(4, 12\)"):
        memcore.step(GRU, params, state, x)


@pytest.mark.parametrize("first", [0, 10_000, 100_000, 3_000_000])
def test_rotary_angles_are_exact(first: int, backend: Backend) -> None:
    """In float32, where ``place * frequency`` would be off by 2e-4 at 100,000 places."""
    x = np.random.default_rng(0).standard_normal((3000, 8)).astype(np.float32)
    angle = (first + np.arange(3000.0))[:, None] * 10000.0 ** (-np.arange(4) / 4)
    z = (x[:, :4] + 1j * x[:, 4:]) * np.exp(1j * angle)
    for length in (3000, 7):
        got = np.asarray(rope(backend.asarray(x[:length]), first))
        close(got, np.concatenate([z.real, z.imag], axis=-1)[:length], 1e-6)


@pytest.mark.backend("numpy")
@pytest.mark.requires("ml_dtypes")
def test_parameters_in_bfloat16_on_numpy(backend: Backend) -> None:
    """What the README's deployment does with a checkpoint in half precision."""
    from ml_dtypes import bfloat16 as dtype

    for model in (memcore.GRU(3), memcore.LRU(3), memcore.GatedDeltaNet(4, heads=2)):
        params = optree.tree_map(lambda x: x.astype(dtype), model.init(0))
        state = memcore.initial_state(model, params)
        assert {str(s.dtype) for s in optree.tree_leaves(state)} <= {"float32", "bool"}
        x = np.ones(model.in_features, np.float32)
        state, y = memcore.step(model, params, state, x)
        assert y.dtype == np.float32 and np.isfinite(y).all()


def test_states_of_a_dtype(backend: Backend) -> None:
    params = backend.asarray(GRU.init(0))
    with backend.x64():
        assert str(memcore.initial_state(GRU, params, (2,), dtype="float64").dtype).endswith(
            "float64"
        )
    if backend.name != "array_api_strict":  # which has no half precision
        half = memcore.initial_state(GRU, params, dtype="float16")
        assert str(half.dtype) == "float32"
    with pytest.raises(TypeError, match="^state has dtype"):
        GRU.apply(params, backend.xp.ones((2, 5, 3)), backend.xp.ones((2, 4)) > 0)


@pytest.mark.backend("numpy")
def test_a_model_without_parameters(backend: Backend) -> None:
    model = memcore.Backward(memcore.GRU(3))
    assert memcore.initial_state(model, model.init(0)) == {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state = memcore.initial_state(GRU, GRU.init(0))
    state[1] = 3.0  # both may be written to
    after, _ = GRU.apply(GRU.init(0), np.zeros((2, 3, 3)))
    after[:] = 0


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("model", ["gru", memcore.GRU, None, 3])
def test_things_that_are_no_model(model: Any, backend: Backend) -> None:
    with pytest.raises(TypeError, match=r"^model is .*, expected a memcore.Model"):
        memcore.scan(model, {}, np.zeros((2, 3)))
    with pytest.raises(TypeError, match=r"^model is .*, expected a memcore.Model"):
        memcore.step(model, {}, None, np.zeros(3))


@pytest.mark.backend("numpy")
def test_the_inner_step_names_the_step_of_a_model(backend: Backend) -> None:
    for model in (GRU, memcore.LRU(3), memcore.GatedDeltaNet(4, heads=2), WORDS):
        params = model.init(0)
        state = memcore.initial_state(model, params)
        x = np.zeros(model.in_features) if model.input_ndim else np.int32(3)
        with pytest.raises(TypeError, match=r"memcore\.step\(model, params, state, x\)"):
            model.step(params, state, x)  # type: ignore[attr-defined]
    inputs = GRU.embed(GRU.init(0), np.zeros(3))
    assert GRU.step(GRU.init(0), np.zeros(4), inputs).shape == (4,)
