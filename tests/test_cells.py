"""Models as values, their parameters, and their numbers against independent implementations."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import optree
import pytest

import memcore
from conftest import Backend
from golden_vectors import load
from memcore.backend import Draw
from memcore.compose.wrapper import Wrapper
from memcore.engine.checks import runnable
from memcore.registry import alone
from models import MODELS
from references.attention import attention
from references.gated_delta_net import gated_delta_net
from references.gru import gru
from references.linear_attention import linear_attention
from references.lru import lru
from references.lstm import lstm
from references.residual_stack import residual_stack

LABELS = {"recurrence", "matrix", "bias", "scale"}


def close(got: Any, want: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=tolerance)


# --- whole layers against independent loops --------------------------------------------------------

Reference = Callable[[Any, Any, Any], Any]


def _attention(window: int, position: str | None) -> tuple[memcore.Model, Reference]:
    how: dict[str, Any] = {"window": window, "position": position}
    model = memcore.Attention(6, heads=2, key_size=4, value_size=3, **how)
    return model, lambda p, x, s: attention(p, x, s, heads=2, **how)[1]


def _net(negative: bool) -> tuple[memcore.Model, Reference]:
    how = {"heads": 3, "negative_eigenvalues": negative}
    model = memcore.GatedDeltaNet(6, key_size=4, value_size=2, conv_size=3, **how)
    return model, lambda p, x, s: gated_delta_net(p, x, s, **how)[1]


def _stack(models: Any, references: list[Reference], **how: Any) -> tuple[memcore.Model, Reference]:
    """`references[i]` belongs to layer i; the layers are told apart by their parameters' names."""
    model = memcore.ResidualStack(3, model=models, out_features=4, **how)

    def inner(params: Any, xs: Any, starts: Any) -> Any:
        for part, reference in zip(model.models, references, strict=True):
            if set(part.init(0)) == set(params):
                return reference(params, xs, starts)
        raise AssertionError(f"no reference for {set(params)}")

    return model, lambda p, x, s: residual_stack(p, x, s, inner=inner)[1]


LRU = memcore.LRU(6, state_size=5)
WHOLE: dict[str, tuple[memcore.Model, Reference]] = {
    "lru": (LRU, lambda p, x, s: lru(p, x, s)[1]),
    "gru": (memcore.GRU(4, hidden_size=6), lambda p, x, s: gru(p, x, s)[1]),
    "lstm": (memcore.LSTM(4, hidden_size=6), lambda p, x, s: lstm(p, x, s)[1]),
    "linear_attention": (
        memcore.LinearAttention(6, heads=2, key_size=4, value_size=3),
        lambda p, x, s: linear_attention(p, x, s, heads=2)[1],
    ),
    "gated_delta_net": _net(False),
    "gated_delta_net_negative": _net(True),
    "attention": _attention(5, None),
    "attention_rope": _attention(5, "rope"),
    "attention_alibi": _attention(5, "alibi"),
    "stack": _stack(LRU, [lambda p, x, s: lru(p, x, s)[1]]),
    "stack_positions": _stack(
        LRU, [lambda p, x, s: lru(p, x, s)[1]], position="learned", max_length=4
    ),
    "stack_hybrid": _stack(
        (LRU, _net(False)[0], _attention(5, "rope")[0]),
        [lambda p, x, s: lru(p, x, s)[1], _net(False)[1], _attention(5, "rope")[1]],
        layers=4,
    ),
}


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", WHOLE)
def test_reference(name: str, backend: Backend) -> None:
    model, reference = WHOLE[name]
    rng = np.random.default_rng(0)
    params = optree.tree_map(
        lambda p: p + 0.1 * rng.standard_normal(p.shape), model.init(0, "float64")
    )
    xs, starts = rng.standard_normal((2, 19, model.in_features)), rng.random((2, 19)) < 0.2
    for method in (*runnable(model, params), "auto"):
        how = {"starts": backend.asarray(starts), "method": method, "chunk_size": 7}
        _, ys = model.apply(*backend.asarray((params, xs)), **how)
        for i in range(2):
            close(np.asarray(ys)[i], reference(params, xs[i], starts[i]), 1e-9)


# --- golden vectors --------------------------------------------------------------------------------


def torch_params(weights: Callable[[str], Any]) -> dict[str, Any]:
    """As the docstrings of memcore.GRU and memcore.LSTM say."""
    return {
        "input": {"kernel": weights("weight_ih_l0").T, "bias": weights("bias_ih_l0")},
        "hidden": {"kernel": weights("weight_hh_l0").T, "bias": weights("bias_hh_l0")},
    }


def test_gru_golden(backend: Backend, x64: None) -> None:
    _, a = load("gru_torch")
    params = torch_params(lambda name: a[f"param/{name}"])
    model = memcore.GRU(5, hidden_size=6)
    for out, start in (("out", np.zeros_like(a["init/h0"])), ("out_init", a["init/h0"])):
        h, ys = model.apply(*backend.asarray((params, a["in/x"], start)))
        close(ys, a[f"{out}/y"])
        close(h, a[f"{out}/h"])


def test_lstm_golden(backend: Backend, x64: None) -> None:
    _, a = load("lstm_torch")
    params = torch_params(lambda name: a[f"param/{name}"])
    model, start = memcore.LSTM(5, hidden_size=6), (a["init/h0"], a["init/c0"])
    for out, state in (("out", optree.tree_map(np.zeros_like, start)), ("out_init", start)):
        after, ys = model.apply(*backend.asarray((params, a["in/x"], state)))
        close(ys, a[f"{out}/y"])
        close(after, (a[f"{out}/h"], a[f"{out}/c"]))


@pytest.mark.backend("numpy")
@pytest.mark.requires("torch")
def test_lstm_takes_the_weights_of_torch(backend: Backend) -> None:
    import torch

    theirs = torch.nn.LSTM(3, 4, batch_first=True)
    params = torch_params(lambda name: getattr(theirs, name).detach().numpy())
    xs = np.random.default_rng(0).standard_normal((2, 9, 3)).astype(np.float32)
    with torch.no_grad():
        want, last = theirs(torch.tensor(xs))
    state, ys = memcore.LSTM(3, hidden_size=4).apply(params, xs)
    close(ys, want.numpy(), 1e-6)
    close(state, tuple(part[0].numpy() for part in last), 1e-6)


@pytest.mark.backend("numpy")
@pytest.mark.requires("torch")
def test_gru_takes_the_weights_of_torch(backend: Backend) -> None:
    import torch

    theirs = torch.nn.GRU(3, 4, batch_first=True)
    params = torch_params(lambda name: getattr(theirs, name).detach().numpy())
    xs = np.random.default_rng(0).standard_normal((2, 9, 3)).astype(np.float32)
    with torch.no_grad():
        want, last = theirs(torch.tensor(xs))
    h, ys = memcore.GRU(3, hidden_size=4).apply(params, xs)
    close(ys, want.numpy(), 1e-6)
    close(h, last[0].numpy(), 1e-6)


def test_lru_golden(backend: Backend, x64: None) -> None:
    _, a = load("lru")
    params = {name: a[f"param/{name}"] for name in ("nu_log", "theta_log", "gamma_log")}
    params |= {n.lower(): a[f"param/{n}"].T for n in ("B_re", "B_im", "C_re", "C_im")}
    params["d"] = a["param/Dskip"]
    model, start = memcore.LRU(5, state_size=6), (a["init/x0_re"], a["init/x0_im"])
    for out, state in (("out", optree.tree_map(np.zeros_like, start)), ("out_init", start)):
        h, ys = model.apply(*backend.asarray((params, a["in/u"], state)))
        close(ys, a[f"{out}/y"])
        close(np.asarray(h[0]) + 1j * np.asarray(h[1]), a[f"{out}/x"])


def test_gated_delta_net_golden(backend: Backend, x64: None) -> None:
    """The Qwen3-Next layer: its 2 key heads serve 2 value heads each, so they are written twice."""
    _, a = load("hf_qwen3next_gated_deltanet")
    groups, r, K, V = 2, 2, 4, 3

    def kernel(part: np.ndarray, repeats: int = 1) -> dict[str, np.ndarray]:
        part = np.repeat(part.reshape(len(part), groups, -1), repeats, axis=1)
        return {"kernel": part.reshape(len(part), -1)}

    mixed = a["param/in_proj_qkvz.weight"].T.reshape(6, groups, -1)
    q, k, v, z = np.split(mixed, np.cumsum([K, K, r * V]), axis=-1)
    b, decay = np.split(a["param/in_proj_ba.weight"].T.reshape(6, groups, -1), 2, axis=-1)
    taps = np.split(a["param/conv1d.weight"][:, 0].T, [groups * K, 2 * groups * K], axis=1)
    params = {
        "query": kernel(q, r),
        "key": kernel(k, r),
        "value": kernel(v),
        "gate": kernel(z),
        "beta": kernel(b),
        "decay": kernel(decay),
        "query_conv": kernel(taps[0], r),
        "key_conv": kernel(taps[1], r),
        "value_conv": kernel(taps[2]),
        "A_log": a["param/A_log"],
        "dt_bias": a["param/dt_bias"],
        "norm": {"scale": a["param/norm.weight"]},
        "output": {"kernel": a["param/out_proj.weight"].T},
    }
    model = memcore.GatedDeltaNet(6, heads=4, key_size=4, value_size=3, conv_size=4)
    assert optree.tree_structure(params) == optree.tree_structure(model.init(0))
    close(model.apply(*backend.asarray((params, a["in/x"])))[1], a["out/y"])


# --- initialisation --------------------------------------------------------------------------------


def test_lru_begins_on_its_ring() -> None:
    for low, high, phase in ((0.0, 1.0, 2 * np.pi), (0.9, 0.999, 0.3), (0.99999, 1.0, 1.0)):
        model = memcore.LRU(4, state_size=4000, r_min=low, r_max=high, max_phase=phase)
        for seed in range(3):
            p = model.init(seed)
            assert all(np.all(np.isfinite(x)) for x in p.values())
            radius = np.exp(-np.exp(p["nu_log"].astype(np.float64)))
            angle = np.exp(p["theta_log"].astype(np.float64))
            assert np.all(radius >= low - 1e-6) and np.all(radius <= high + 1e-6)
            assert np.all(angle > 0) and np.all(angle <= phase * (1 + 1e-6))
            # Uniform over the area: half of the states beyond the radius that halves it.
            middle = np.sqrt((low**2 + high**2) / 2)
            assert abs(np.mean(radius > middle) - 0.5) < 0.06
            if high < 1:
                close(np.exp(p["gamma_log"]), np.sqrt(1 - radius**2), 1e-4)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_lru_parameters_are_finite(dtype: str) -> None:
    model = memcore.LRU(4, state_size=512)
    for seed in range(10):
        assert all(np.all(np.isfinite(x)) for x in model.init(seed, dtype).values())


def test_lru_neither_grows_nor_vanishes() -> None:
    model = memcore.LRU(8, state_size=4000, r_min=0.5, r_max=0.9)
    xs = np.random.default_rng(0).standard_normal((1, 200, 8))
    state, _ = model.apply(model.init(0, "float64"), xs)
    power = np.mean(state[0] ** 2 + state[1] ** 2)
    assert 0.5 < power < 2  # gamma normalises |h|^2 to that of B x


def test_gated_delta_net_begins_as_in_the_paper() -> None:
    model = memcore.GatedDeltaNet(8, heads=1000, key_size=1, value_size=1)
    p = model.init(0, "float64")
    dt = np.logaddexp(0, p["dt_bias"])
    assert np.all(dt >= 1e-3 * 0.999) and np.all(dt <= 1e-1 * 1.001)
    a = np.exp(p["A_log"])
    assert np.all(a >= 1) and np.all(a <= 16) and a.std() > 3
    assert np.abs(np.median(np.log(dt)) - np.log(1e-2)) < 0.3
    assert np.all(p["norm"]["scale"] == 1)


@pytest.mark.parametrize("name", MODELS)
def test_the_seed_decides(name: str) -> None:
    model = MODELS[name]

    def leaves(key: Any) -> list[np.ndarray]:
        return optree.tree_leaves(model.init(key))

    for same in ((3, 3), (np.int64(3), 3), (np.random.default_rng(3), np.random.default_rng(3))):
        assert all(np.array_equal(a, b) for a, b in zip(*map(leaves, same), strict=True))
    # What is the same for every row of the first axis is given, not drawn: the A of an S6.
    drawn = [np.ptp(a) > 0 and not (a.ndim > 1 and np.all(a == a[:1])) for a in leaves(3)]
    for a, b, random in zip(leaves(3), leaves(4), drawn, strict=True):
        assert not random or not np.array_equal(a, b)
    seen = [a.ravel()[:3].tobytes() for a, random in zip(leaves(3), drawn, strict=True) if random]
    assert len(set(seen)) == len(seen)  # no two parameters share their draws
    assert all(a.dtype == np.float32 for a in leaves(3))
    assert all(a.dtype == np.float64 for a in optree.tree_leaves(model.init(3, "float64")))


def draws(draw: Draw, names: list[str]) -> dict[str, Any]:
    return {name: np.asarray(draw.child("part").normal(name, (3,))) for name in names}


def test_a_new_name_does_not_reshuffle(backend: Backend) -> None:
    key: Any = 0
    if backend.name == "jax":
        import jax

        key = jax.random.key(0)
    before = draws(memcore.as_draw(key), ["a", "c"])
    after = draws(memcore.as_draw(key), ["b", "c", "a"])
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    assert len({x.tobytes() for x in after.values()}) == 3


@pytest.mark.parametrize("key", ["a", None, 1.5, True, -1, np.zeros(2, np.uint32)])
def test_keys_that_are_none(key: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^key is "):
        memcore.GRU(3).init(key)


@pytest.mark.backend("jax")
def test_init_on_jax(backend: Backend) -> None:
    import jax
    import jax.numpy as jnp

    key = jax.random.key(0)
    for model in MODELS.values():
        shapes, want = jax.eval_shape(model.init, key), model.init(0)
        assert optree.tree_structure(shapes) == optree.tree_structure(want)
        for a, b in zip(*map(optree.tree_leaves, (shapes, want)), strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype == jnp.float32
    init = MODELS["gru"].init
    params, legacy = jax.jit(init)(key), init(jax.random.PRNGKey(0))
    many = jax.jit(jax.vmap(init))(jax.random.split(key, 3))
    for a, b, c in zip(*map(optree.tree_leaves, (params, legacy, many)), strict=True):
        assert isinstance(a, jax.Array) and c.shape == (3, *a.shape)
        np.testing.assert_allclose(a, b, rtol=1e-6)  # the same key, of the other kind
        assert not np.array_equal(c[0], c[1])
    half = jax.eval_shape(lambda k: MODELS["lru"].init(k, jnp.bfloat16), jax.random.key(0))
    assert all(x.dtype == jnp.bfloat16 for x in half.values())


# --- models as values ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_a_value(name: str) -> None:
    model = MODELS[name]
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), replace(model)):
        assert again == model and hash(again) == hash(model) and {model: 1}[again] == 1
    assert eval(repr(model), vars(memcore)) == model
    inside = model.model if isinstance(model, Wrapper) else None
    how = {"in_features": 12} if inside is None else {"model": replace(inside, in_features=12)}
    other = replace(model, **how)
    assert other != model and other.in_features == 12
    with pytest.raises(FrozenInstanceError):
        model.in_features = 3  # type: ignore[misc]
    with pytest.raises((AttributeError, FrozenInstanceError)):
        model.weights = 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", alone())
def test_fields(name: str) -> None:
    """in_features comes first, and has no default; everything else has one."""
    cls = memcore.registry[name]
    assert [f.name for f in fields(cls)][0] == "in_features"
    model = cls(64)
    _, ys = model.apply(model.init(0), np.zeros((2, 3, 64), np.float32))
    assert ys.shape == (2, 3, model.out_features)
    assert cls.__doc__ and "State:" in cls.__doc__


@pytest.mark.backend("jax")
def test_a_model_is_a_static_argument(backend: Backend) -> None:
    import jax

    traces = []

    def run(model: memcore.Model, params: Any, xs: Any) -> Any:
        traces.append(model)
        return model.apply(params, xs)[1]

    compiled = jax.jit(run, static_argnums=0)
    xs = backend.asarray(np.ones((2, 5, 3), np.float32))
    for _ in range(2):  # equal models are one model
        compiled(memcore.GRU(3, hidden_size=4), memcore.GRU(3, hidden_size=4).init(0), xs)
    assert len(traces) == 1
    compiled(memcore.GRU(3, hidden_size=5), memcore.GRU(3, hidden_size=5).init(0), xs)
    assert len(traces) == 2


# --- hyperparameters -------------------------------------------------------------------------------

WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    **{
        f"{name} {value!r}": (lambda cls=cls, value=value: cls(value), f"^in_features is {value!r}")
        for name, cls in alone().items()
        for value in (0, -3, 8.0, "8", None, True)
    },
    "state_size": (lambda: memcore.LRU(4, state_size=0), r"^state_size is 0, expected a positive"),
    "hidden_size": (lambda: memcore.GRU(4, hidden_size=2.5), r"^hidden_size is 2\.5, expected"),
    "heads": (lambda: memcore.Attention(8, heads=0), r"^heads is 0, expected a positive int"),
    "window": (lambda: memcore.Attention(8, window=0), r"^window is 0, expected None or a posi"),
    "heads of attention": (lambda: memcore.Attention(10), r"^heads is 4, expected a divisor of"),
    "heads of linear attention": (lambda: memcore.LinearAttention(10), r"^heads is 4, expected"),
    "heads of the net": (lambda: memcore.GatedDeltaNet(10), r"^heads is 4, expected a divisor"),
    "key_size": (
        lambda: memcore.LinearAttention(8, key_size=0),
        r"^key_size is 0, expected None or a positive int",
    ),
    "value_size": (
        lambda: memcore.GatedDeltaNet(8, value_size="a"),
        r"^value_size is 'a', expected None or a positive int",
    ),
    "position": (lambda: memcore.Attention(8, position="sin"), r"^position is 'sin', expected"),
    "rope": (lambda: memcore.Attention(12), r"^position is 'rope', which needs an even key size"),
    "ring": (lambda: memcore.LRU(4, r_min=0.9, r_max=0.5), r"^r_min and r_max are 0\.9 and 0\.5"),
    "ring beyond 1": (
        lambda: memcore.LRU(4, r_max=1.5),
        r"^r_max is 1\.5, expected a number above 0",
    ),
    "phase": (lambda: memcore.LRU(4, max_phase=-1.0), r"^max_phase is -1\.0, expected"),
    "conv_size": (lambda: memcore.GatedDeltaNet(8, conv_size=1), r"^conv_size is 1, expected an"),
    "layers": (lambda: memcore.ResidualStack(3, layers=0), r"^layers is 0, expected a positive"),
    "model": (lambda: memcore.ResidualStack(3, model="gru"), r"^model is 'gru', expected a Model"),
    "model list": (
        lambda: memcore.ResidualStack(3, model=[memcore.GRU(3)]),
        r"^model is \[GRU.*\], expected a Model or a tuple of Models",
    ),
    "model none": (lambda: memcore.ResidualStack(3, model=()), r"^model is \(\), expected"),
    "model widths": (
        lambda: memcore.ResidualStack(3, model=(memcore.GRU(4), memcore.GRU(5))),
        r"^model has in_features \[4, 5\], expected the same width in all",
    ),
    "stack position": (
        lambda: memcore.ResidualStack(3, position="rope"),
        r"^position is 'rope', expected None or 'learned'",
    ),
    "dropout": (lambda: memcore.ResidualStack(3, dropout=1.0), r"^dropout is 1\.0, expected a"),
    "out_features": (lambda: memcore.ResidualStack(3, out_features=0), r"^out_features is 0, exp"),
    "max_length": (lambda: memcore.ResidualStack(3, max_length=0), r"^max_length is 0, expected"),
    "mlp_factor": (lambda: memcore.ResidualStack(3, mlp_factor=-1.0), r"^mlp_factor is -1\.0, exp"),
}


@pytest.mark.parametrize("name", WRONG)
def test_hyperparameters(name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


# --- labels ----------------------------------------------------------------------------------------


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


# --- the registry ----------------------------------------------------------------------------------


def model_files() -> list[Path]:
    root = Path(memcore.__file__).parent
    files = sorted([*root.glob("models/*/*.py"), *root.glob("compose/*.py")])
    return [p for p in files if p.stem not in ("__init__", "wrapper")]


@pytest.mark.parametrize("path", model_files(), ids=lambda path: path.stem)
def test_every_file_has_its_model_in_the_registry(path: Path) -> None:
    place = path.relative_to(Path(memcore.__file__).parent).with_suffix("")
    module = importlib.import_module(".".join(["memcore", *place.parts]))
    classes = [
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, memcore.Model) and cls.__module__ == module.__name__
    ]
    assert classes, f"{path} defines no model"
    assert memcore.registry.get(path.stem) in classes
    package = importlib.import_module(module.__name__.rpartition(".")[0])
    for cls in classes:
        assert cls in memcore.registry.values()
        assert getattr(package, cls.__name__) is cls
        assert getattr(memcore, cls.__name__) is cls and cls.__name__ in memcore.__all__


def test_a_model_of_ones_own_is_registered() -> None:
    @memcore.register("my_own_for_this_test")
    @dataclass(frozen=True)
    class Mine(memcore.GRU):
        pass

    try:
        assert memcore.from_config({"kind": "my_own_for_this_test", "in_features": 3}) == Mine(3)
    finally:
        del memcore.registry["my_own_for_this_test"]


# --- pointwise functions ---------------------------------------------------------------------------

POINTWISE = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "elu_plus_one": lambda x: np.where(x > 0, x + 1, np.exp(np.minimum(x, 0))),
}


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise(name: str, backend: Backend) -> None:
    x = np.array([-30.0, -3.0, -1e-9, 0.0, 1e-9, 0.5, 3.0, 30.0])
    got = getattr(memcore.nn, name)(backend.asarray(x))
    close(got, POINTWISE[name](x), 1e-12)
    far = np.asarray(getattr(memcore.nn, name)(backend.asarray(np.array([-1e4, 1e4]))))
    assert np.all(np.isfinite(far)) and abs(far[0]) < 1e-12


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise_gradients(name: str, backend: Backend, x64: None) -> None:
    """At 0 as well, where branches meet: padding and zero inputs sit exactly there."""
    import jax
    import jax.numpy as jnp

    x = np.array([-700.0, -3.0, 0.0, 3.0, 700.0])
    got = jax.vmap(jax.grad(getattr(memcore.nn, name)))(jnp.asarray(x))
    f, step = getattr(memcore.nn, name), 1e-6
    want = (np.asarray(f(jnp.asarray(x + step))) - np.asarray(f(jnp.asarray(x - step)))) / 2 / step
    close(got, want, 1e-6)
