"""Inputs, tokens and parameters as people bring them: what is wrong is named, or stays where it is."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np
import optree
import pytest

import memcore
from cases.checks import close
from cases.models import MODELS
from conftest import Backend
from memcore import ops
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
    "empty": (
        lambda: {**GRU.init(0), "input": {**GRU.init(0)["input"], "d": {}}},
        ValueError,
        r"^params has the empty dict 'input/d', which GRU",
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


def test_parameters_kept_by_their_paths_have_no_empty_dicts(backend: Backend) -> None:
    """A flattened tree loses them, as Flax's `flatten_dict` does; nothing else is lost with them."""
    model = memcore.ResidualStack(3, model=memcore.Identity(3), layers=1)
    whole = model.init(0)
    layer = {name: part for name, part in whole["layer_0"].items() if part}
    lost = {name: part for name, part in whole.items() if part} | {"layer_0": layer}
    assert set(layer) < set(whole["layer_0"])
    xs, whole, lost = backend.asarray((np.ones((2, 5, 3), np.float32), whole, lost))
    state, ys = model.apply(whole, xs)
    close(model.apply(lost, xs), (state, ys), 0)
    close(
        memcore.step(model, lost, state, xs[:, 0, ...]),
        memcore.step(model, whole, state, xs[:, 0, ...]),
        0,
    )
    close(memcore.initial_state(model, lost, (2,)), memcore.initial_state(model, whole, (2,)), 0)


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


@pytest.mark.backend("numpy")
@pytest.mark.requires("ml_dtypes")
@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.input_ndim])
def test_outputs_in_bfloat16_on_numpy(name: str, backend: Backend) -> None:
    """Where a bfloat16 times a Python number is a float32."""
    from ml_dtypes import bfloat16 as dtype

    model, rng = MODELS[name], np.random.default_rng(0)
    params = optree.tree_map(lambda x: x.astype(dtype), model.init(0))
    rows = (3,) * (model.input_ndim - 1)
    xs = rng.standard_normal((2, 5, *rows, model.in_features)).astype(dtype)
    state, ys = model.apply(params, xs)
    if model.causal:
        state, y = memcore.step(model, params, state, xs[:, 0])
        assert y.dtype == dtype
    assert ys.dtype == dtype and np.isfinite(ys.astype(np.float32)).all()
    assert not {str(leaf.dtype) for leaf in optree.tree_leaves(state)} & {"bfloat16", "float64"}


@pytest.mark.backend("numpy")
@pytest.mark.requires("ml_dtypes")
def test_tokens_computed_in_bfloat16_on_numpy(backend: Backend, tmp_path: Any) -> None:
    """A model that was trained so, as it comes from a file."""
    words = dataclasses.replace(WORDS, out_features=7, token_dtype="bfloat16")
    memcore.save(tmp_path / "words", words, words.init(0))
    model, params = memcore.load(tmp_path / "words")
    state, ys = model.apply(params, np.array([[1, 2, 3]]))
    assert str(ys.dtype) == "bfloat16"
    again = memcore.initial_state(model, params, (1,), dtype="bfloat16")
    for xs in (1, 2, 3):
        again, y = memcore.step(model, params, again, np.array([xs]))
    close(again, state, 1e-5)
    close(y.astype(np.float32), ys[:, -1].astype(np.float32), 2e-2)
    _, tokens = memcore.generate(model, params, [[1, 2, 3]], length=2, temperature=0)
    assert tokens[0, 0] == ys[0, -1].astype(np.float32).argmax()


@pytest.mark.backend("array_api_strict")
def test_a_dtype_of_another_library(backend: Backend) -> None:
    words = dataclasses.replace(WORDS, token_dtype="bfloat16")
    params, xs = backend.asarray((words.init(0), np.array([[1, 2]])))
    with pytest.raises(TypeError, match="^token_dtype is 'bfloat16', which .*strict does not have"):
        words.apply(params, xs)


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
    for call in (
        lambda: memcore.step(model, {}, None, np.zeros(3)),
        lambda: memcore.initial_state(model, {}, (2,)),
        lambda: memcore.reset(model, {}, np.zeros(3), np.zeros((), bool)),
        lambda: memcore.explain(model, 5),
        lambda: memcore.testing.check_model(model),
    ):
        with pytest.raises(TypeError, match=r"^model is .*, expected a memcore.Model"):
            call()


def masked(x: np.ndarray) -> np.ndarray:
    return np.ma.masked_array(x, np.zeros(x.shape, bool))


def swapped(x: np.ndarray) -> np.ndarray:
    """The same numbers in the other order of bytes."""
    return x.astype(x.dtype.newbyteorder())


def runs_of(backend: Backend, change: Any) -> dict[str, Any]:
    """Runs in which one argument is NumPy's and has been changed; the others are the backend's."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 5, 3)).astype(np.float32)
    heads, h = x[:, :, None], rng.standard_normal((2, 1, 3, 3)).astype(np.float32)
    gates, words = np.abs(x[..., :1]), rng.integers(0, 7, (2, 5)).astype(np.int32)
    flags, state = (words > 3).astype(np.float32), rng.standard_normal((2, 4)).astype(np.float32)
    params, vocabulary, x_, heads_, state_, gates_ = backend.asarray(
        (GRU.init(0), WORDS.init(0), x, heads, state, gates)
    )
    return {
        "xs": lambda: GRU.apply(params, change(x)),
        "xs of scan": lambda: memcore.scan(GRU, params, change(x)),
        "xs of tokens": lambda: WORDS.apply(vocabulary, change(words)),
        "x": lambda: memcore.step(GRU, params, state_, change(x[:, 0])),
        "state": lambda: GRU.apply(params, x_, change(state)),
        "state of step": lambda: memcore.step(GRU, params, change(state), x_[:, 0, ...]),
        "state of reset": lambda: memcore.reset(
            GRU, params, change(state), np.array([True, False])
        ),
        "starts": lambda: GRU.apply(params, x_, starts=change(flags)),
        "valid": lambda: GRU.apply(params, x_, valid=change(flags)),
        "a": lambda: ops.linear_recurrence(change(x), x_),
        "b": lambda: ops.linear_recurrence(x_, change(x)),
        "q": lambda: ops.linear_attention(change(heads), heads_, heads_),
        "state of attention": lambda: ops.linear_attention(heads_, heads_, heads_, None, change(h)),
        "starts of attention": lambda: ops.linear_attention(
            heads_, heads_, heads_, starts=change(flags)
        ),
        "kernel": lambda: ops.causal_convolution(x_, change(x[0, :3])),
        "log_input": lambda: ops.mlstm(heads_, heads_, heads_, change(gates), -gates_),
        "beta": lambda: ops.delta_rule(heads_, heads_, heads_, change(gates)),
        "scores": lambda: ops.softmax(change(gates), heads_),
        "x of log_sum_exp": lambda: ops.log_sum_exp(change(x)),
    }


ARGUMENTS = list(runs_of(Backend("numpy"), lambda x: x))


@pytest.mark.backend("numpy", "jax")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_arrays_of_another_order_of_bytes(name: str, backend: Backend) -> None:
    """Files of other machines are read so, and JAX refuses them: they have the same numbers."""
    close(runs_of(backend, swapped)[name](), runs_of(backend, backend.asarray)[name](), 1e-6)


@pytest.mark.backend("numpy", "jax")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_masked_arrays_are_named(name: str, backend: Backend) -> None:
    """What stands behind a mask is no number: the mask would be dropped silently."""
    with pytest.raises(TypeError, match=f"^{name.split(' ')[0]}.* is a masked array, expected"):
        runs_of(backend, masked)[name]()


@pytest.mark.backend("numpy", "jax")
@pytest.mark.parametrize("change", [masked, swapped])
def test_parameters_that_no_library_reads_as_they_stand(change: Any, backend: Backend) -> None:
    params = optree.tree_map(change, GRU.init(0))
    words = (
        "^params has the leaf 'hidden/bias', which is masked, a numpy.matrix or in the byte order"
    )
    with pytest.raises(TypeError, match=words):
        GRU.apply(params, backend.asarray(np.zeros((2, 5, 3), np.float32)))


@pytest.mark.backend("numpy")
def test_what_is_saved_has_no_mask_and_the_same_numbers(backend: Backend, tmp_path: Any) -> None:
    path, params = tmp_path / "gru.safetensors", GRU.init(0)
    state = np.ones((2, 4), np.float32)
    memcore.save(path, GRU, optree.tree_map(swapped, params), state=swapped(state))
    close(memcore.load(path, state=True)[1:], (params, state), 0)
    for given in (
        {"params": optree.tree_map(masked, params)},
        {"params": params, "state": masked(state)},
    ):
        with pytest.raises(TypeError, match="is a masked array, expected an array$"):
            memcore.save(path, GRU, **given)


@pytest.mark.backend("array_api_strict")
def test_arrays_of_two_libraries_are_named(backend: Backend) -> None:
    """Those of one that NumPy's do not mix with, as torch's."""
    params, xs = GRU.init(0), np.zeros((2, 5, 3), np.float32)
    state, starts = np.zeros((2, 4), np.float32), np.zeros((2, 5), bool)
    other = backend.asarray({"params": params, "xs": xs, "state": state, "starts": starts})
    both = r"^xs is a .*, and params has a .*: expected arrays of one library"
    mixed = {**params, "hidden": other["params"]["hidden"]}
    for given in ((params, other["xs"]), (other["params"], xs), (mixed, xs)):
        with pytest.raises(TypeError, match=both):
            GRU.apply(*given)
        with pytest.raises(TypeError, match=both):
            memcore.step(GRU, given[0], None, given[1][:, 0, :])
    with pytest.raises(
        TypeError, match=r"^state is a array_api_strict\..*, expected an array of the lib"
    ):
        GRU.apply(params, xs, other["state"])
    for name in ("starts", "valid"):
        with pytest.raises(
            TypeError, match=rf"^{name} is a array_api_strict\..*, expected an array of"
        ):
            GRU.apply(params, xs, **{name: other["starts"]})
    GRU.apply(other["params"], other["xs"], state, starts=starts)  # NumPy's go along


LSTM = memcore.LSTM(3, hidden_size=4)
GRID = memcore.TTTLinear(4, heads=2, mini_batch=2)
H = np.zeros((2, 4), np.float32)
BEGUN = memcore.initial_state(GRID, GRID.init(0), (2,))
WRONG_ROWS: dict[str, tuple[memcore.Model, Any, type[Exception], str]] = {
    "batch": (
        LSTM,
        (H, H[:1]),
        ValueError,
        r"^state/1 has shape \(1, 4\), expected \(2, 4\) with the",
    ),
    "no batch": (
        LSTM,
        (H, H[0]),
        ValueError,
        r"^state/1 has shape \(4,\), expected \(2, 4\) with the",
    ),
    "width": (LSTM, (H[:, :3], H), ValueError, r"^state/0 has shape \(2, 3\), expected \(2, 4\)"),
    "integers": (
        LSTM,
        (H, H.astype(int)),
        TypeError,
        "^state/1 has dtype int64, expected floating",
    ),
    "objects": (
        LSTM,
        (H.astype(object), H),
        TypeError,
        "^state/0 has dtype object, expected float",
    ),
    "words": (LSTM, ("x", H), TypeError, "^state/0 has dtype .*, expected floating point numbers"),
    "a list": (LSTM, [H, H], ValueError, "^state has the structure .*, expected"),
    "one leaf": (LSTM, H, ValueError, "^state has the structure .*, expected"),
    "no phase": (GRID, BEGUN["memory"], ValueError, "^state has the structure .*, expected"),
    "none": (GRID, None, ValueError, "^state has the structure .*, expected"),
    "phase": (
        GRID,
        {**BEGUN, "phase": np.zeros(2)},
        TypeError,
        "^state/phase has dtype float64, exp",
    ),
}


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", WRONG_ROWS)
def test_wrong_states_to_reset_are_named(name: str, backend: Backend) -> None:
    model, state, error, words = WRONG_ROWS[name]
    with pytest.raises(error, match=words):
        memcore.reset(model, model.init(0), state, np.array([True, False]))


@pytest.mark.backend("numpy")
@pytest.mark.requires("ml_dtypes")
@pytest.mark.parametrize("kind", ["float8_e4m3fn", "int4"])
def test_dtypes_that_numpy_does_not_calculate_with(kind: str, backend: Backend) -> None:
    import ml_dtypes

    dtype = getattr(ml_dtypes, kind)
    ones, params = np.ones((2, 5, 3), dtype), GRU.init(0)
    state = memcore.initial_state(GRU, params, (2,))
    for name, run in {
        "xs": lambda: GRU.apply(params, ones),
        "x": lambda: memcore.step(GRU, params, state, ones[:, 0]),
        "state": lambda: GRU.apply(params, ones.astype(np.float32), state.astype(dtype)),
        "starts": lambda: GRU.apply(params, ones.astype(np.float32), starts=ones[..., 0]),
        "b": lambda: ops.linear_recurrence(ones.astype(np.float32), ones),
        "lengths": lambda: memcore.starts_from_lengths(ones[0, 0], 8),
    }.items():
        with pytest.raises(TypeError, match=f"^{name} has dtype {kind}, expected"):
            run()
    params["hidden"]["bias"] = params["hidden"]["bias"].astype(dtype)
    with pytest.raises(TypeError, match=f"^params has the leaf 'hidden/bias' of {kind}, expected"):
        GRU.apply(params, ones.astype(np.float32))


WRONG_BEGINNINGS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a number": ({"batch_shape": 2}, TypeError, "^batch_shape is 2, expected a tuple of ints"),
    "a negative size": ({"batch_shape": (-1,)}, TypeError, r"^batch_shape is \(-1,\), expected"),
    "a size of True": ({"batch_shape": (True,)}, TypeError, r"^batch_shape is \(True,\), expected"),
    "a size in half": ({"batch_shape": (0.5,)}, TypeError, r"^batch_shape is \(0.5,\), expected"),
    "a phase in words": ({"phase": "a"}, ValueError, "^phase is 'a', expected one of 0 to 0"),
    "integers": ({"dtype": "int32"}, TypeError, "^dtype is .*int32.*, expected a floating point"),
    "objects": ({"dtype": object}, TypeError, "^dtype is .*object.*, expected a floating point"),
    "no dtype": (
        {"dtype": "zeros"},
        TypeError,
        "^dtype is 'zeros', expected a floating point dtype",
    ),
}


@pytest.mark.parametrize("name", WRONG_BEGINNINGS)
def test_wrong_beginnings_are_named(name: str, backend: Backend) -> None:
    given, error, words = WRONG_BEGINNINGS[name]
    with pytest.raises(error, match=words):
        memcore.initial_state(GRU, backend.asarray(GRU.init(0)), **given)


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


def test_a_numpy_matrix_is_its_numbers_and_no_parameter(backend: Backend) -> None:
    """Its products and indices are its own: wrong numbers, and errors from inside."""
    model = memcore.GatedDeltaNet(4, heads=2)
    params, x = model.init(0), np.ones((2, 4), np.float32)
    state = memcore.initial_state(model, params, (2,))
    want = memcore.step(model, params, state, x)
    got = memcore.step(model, params, state, x.view(np.matrix))
    close(got, want, 0)
    assert type(got[1]) is np.ndarray
    params["output"] = {"kernel": params["output"]["kernel"].view(np.matrix)}
    with pytest.raises(
        TypeError, match="params has the leaf 'output/kernel', which is .* a numpy.matrix"
    ):
        memcore.step(model, params, state, x)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("key", [5, (1, 2), None])
def test_a_leaf_too_many_under_a_key_that_is_no_name(key: Any, backend: Backend) -> None:
    params = {**GRU.init(0), key: np.ones(3, np.float32)}
    with pytest.raises(ValueError, match=r"^params has the leaf '.*', which GRU.* does not have"):
        GRU.apply(params, np.zeros((5, 3), np.float32))


def test_reset_compares_other_leaves_with_the_first(backend: Backend) -> None:
    """And names it where it is another one that does not fit."""
    model = memcore.LSTM(3, hidden_size=4)
    short, two = np.ones((2, 7), np.float32), np.ones((2, 4), np.float32)
    params, short, two = backend.asarray((model.init(0), short, two))
    one = two[:1, ...]
    with pytest.raises(ValueError, match=r"^state/0 has shape \(2, 7\), expected \(2, 4\)$"):
        memcore.reset(model, params, (short, two), True)
    with pytest.raises(
        ValueError, match=r"^state/1 .*\(1, 4\), expected \(2, 4\) with .* state/0$"
    ):
        memcore.reset(model, params, (two, one), True)
