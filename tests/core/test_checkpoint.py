"""Files of models and parameters, and models as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import optree
import pytest
from safetensors.numpy import save_file

import memcore
from cases.models import MODELS
from conftest import Backend
from memcore.backend import tree_paths
from memcore.registry import alone

GRU = memcore.GRU(3, hidden_size=2)
NESTED = memcore.ResidualStack(
    3,
    model=(
        memcore.LRU(4, state_size=3, r_min=0.5),
        memcore.ResidualStack(4, model=memcore.Attention(6, heads=1, position=None), layers=1),
    ),
    position="learned",
    max_length=5,
)
VARIED = {**MODELS, "nested": NESTED, **{name: cls(8) for name, cls in alone().items()}}


@dataclass(frozen=True)
class Scaled(memcore.Cell):
    """A user's own cell, with a scalar parameter and fields of every kind."""

    hidden_size: int = 2
    sizes: tuple[int, ...] = (1, 2)
    pairs: tuple[tuple[str, float], ...] = (("a", 0.5),)
    name: str = "x"
    flag: bool = True
    nothing: int | None = None
    inner: memcore.Model = GRU

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        return {"rate": memcore.as_draw(key, dtype).normal("rate", ())}

    def initial_state(self, params: Any) -> Any:
        return np.zeros(self.in_features)

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        return params["rate"] * state + inputs


@pytest.fixture
def scaled() -> Iterator[Scaled]:
    memcore.register("scaled_for_this_test")(Scaled)
    yield Scaled(3)
    del memcore.registry["scaled_for_this_test"]


def inputs(model: memcore.Model) -> np.ndarray:
    rng = np.random.default_rng(0)
    if model.input_ndim == 0:
        return rng.integers(0, model.in_features, (2, 5))
    return rng.standard_normal((2, 5, model.in_features)).astype(np.float32)


# --- there and back --------------------------------------------------------------------------------


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", VARIED)
def test_round_trip(name: str, tmp_path: Path, backend: Backend) -> None:
    model = VARIED[name]
    params, xs = model.init(1), inputs(model)
    memcore.save(tmp_path / "m.safetensors", model, params)
    again, loaded = memcore.load(tmp_path / "m.safetensors")
    assert again == model and hash(again) == hash(model)
    assert optree.tree_structure(loaded) == optree.tree_structure(params)
    for a, b in zip(optree.tree_leaves(loaded), optree.tree_leaves(params), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    for a, b in zip(
        optree.tree_leaves(again.apply(loaded, xs)),
        optree.tree_leaves(model.apply(params, xs)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_parts_without_parameters(tmp_path: Path) -> None:
    """A file of leaves does not keep their empty dicts."""
    inner = (memcore.Identity(4), memcore.GRU(4), memcore.FrameStack(4))
    model = memcore.ResidualStack(4, model=inner, layers=3)
    params, path = model.init(0), tmp_path / "model.safetensors"
    assert {} in (params["layer_0"]["model"], params["layer_2"]["model"])
    memcore.save(path, model, params)
    loaded, again = memcore.load(path)
    assert optree.tree_structure(again) == optree.tree_structure(params)
    xs = np.random.default_rng(1).normal(size=(5, 4))
    np.testing.assert_array_equal(loaded.apply(again, xs)[1], model.apply(params, xs)[1])


@pytest.mark.backend("jax", "array_api_strict")
def test_parameters_of_any_library(tmp_path: Path, backend: Backend) -> None:
    params = GRU.init(1)
    memcore.save(tmp_path / "m", GRU, backend.asarray(params))
    _, loaded = memcore.load(os.fspath(tmp_path / "m"))
    for a, b in zip(optree.tree_leaves(loaded), optree.tree_leaves(params), strict=True):
        assert type(a) is np.ndarray
        np.testing.assert_array_equal(a, b)


@pytest.mark.backend("jax")
def test_what_jax_drew_runs_in_numpy(tmp_path: Path, backend: Backend) -> None:
    import jax

    params, xs = GRU.init(jax.random.key(0)), inputs(GRU)
    memcore.save(tmp_path / "m", GRU, params)
    model, loaded = memcore.load(tmp_path / "m")
    _, ys = model.apply(loaded, xs)
    assert type(ys) is np.ndarray
    np.testing.assert_allclose(ys, GRU.apply(params, backend.asarray(xs))[1], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_the_dtype_is_kept(dtype: str, tmp_path: Path) -> None:
    memcore.save(tmp_path / "m", GRU, GRU.init(0, dtype))
    assert {x.dtype for x in optree.tree_leaves(memcore.load(tmp_path / "m")[1])} == {
        np.dtype(dtype)
    }


def test_bfloat16_without_a_package_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file as JAX writes it, read where NumPy is alone: the same numbers, as float32."""
    params = optree.tree_map(lambda x: x.view("<u4") >> 16 << 16, GRU.init(0))
    model = json.dumps({"format": 1, "model": memcore.to_config(GRU)})
    header: dict[str, Any] = {"__metadata__": {"memcore": model}}
    data = b""
    for name, leaf in tree_paths(params):
        part = (leaf >> 16).astype("<u2").tobytes()
        offsets = [len(data), len(data) + len(part)]
        header[name] = {"dtype": "BF16", "shape": leaf.shape, "data_offsets": offsets}
        data += part
    head = json.dumps(header).encode()
    content = len(head).to_bytes(8, "little") + head + data
    (tmp_path / "m").write_bytes(content)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    found, loaded = memcore.load(tmp_path / "m")
    assert found == GRU
    for (name, got), (_, want) in zip(tree_paths(loaded), tree_paths(params), strict=True):
        assert got.dtype == np.float32, name
        np.testing.assert_array_equal(got.view("<u4"), want)
    (tmp_path / "m").write_bytes(content[:-1])
    with pytest.raises(ValueError, match="is damaged"):
        memcore.load(tmp_path / "m")


@pytest.mark.backend("jax")
def test_bfloat16_is_kept_where_jax_is(tmp_path: Path, backend: Backend) -> None:
    import jax

    params = GRU.init(jax.random.key(0), "bfloat16")
    memcore.save(tmp_path / "m", GRU, params)
    loaded = memcore.load(tmp_path / "m")[1]
    for (_, got), (_, want) in zip(tree_paths(loaded), tree_paths(params), strict=True):
        assert got.dtype == want.dtype == "bfloat16"
        np.testing.assert_array_equal(got, np.asarray(want))


def test_any_mapping_of_parameters(tmp_path: Path) -> None:
    """Flax's FrozenDict is one."""
    params = GRU.init(0)
    frozen = MappingProxyType({name: MappingProxyType(part) for name, part in params.items()})
    memcore.save(tmp_path / "frozen", GRU, frozen)
    memcore.save(tmp_path / "plain", GRU, params)
    assert (tmp_path / "frozen").read_bytes() == (tmp_path / "plain").read_bytes()


def test_sizes_that_numpy_counted(tmp_path: Path) -> None:
    model = memcore.GatedDeltaNet(np.int64(4), heads=np.int32(2), conv_size=np.int64(3))
    memcore.save(tmp_path / "m", model, model.init(0))
    assert memcore.load(tmp_path / "m")[0] == model


def test_arrays_in_any_memory_order(tmp_path: Path) -> None:
    params = optree.tree_map(lambda x: np.asfortranarray(x)[..., ::-1], GRU.init(0))
    memcore.save(tmp_path / "m", GRU, params)
    loaded = memcore.load(tmp_path / "m")[1]
    np.testing.assert_array_equal(loaded["input"]["kernel"], params["input"]["kernel"])


def test_scalar_parameters(scaled: Scaled, tmp_path: Path) -> None:
    params = scaled.init(0)
    memcore.save(tmp_path / "m", scaled, params)
    model, loaded = memcore.load(tmp_path / "m")
    assert model == scaled
    assert loaded["rate"].shape == () and loaded["rate"] == params["rate"]


# --- files that are not whole, or somebody else's --------------------------------------------------


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    memcore.save(tmp_path / "whole", GRU, GRU.init(0))
    return (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_truncated(share: float, whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"m is damaged or not a safetensors file"):
        memcore.load(tmp_path / "m")


def test_not_a_checkpoint_at_all(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("hello, this is not a checkpoint" * 10)
    with pytest.raises(ValueError, match=r"m is damaged or not a safetensors file"):
        memcore.load(tmp_path / "m")
    with pytest.raises(FileNotFoundError):
        memcore.load(tmp_path / "none")


def write(path: Path, metadata: dict[str, str] | None, params: Any = None) -> Path:
    arrays = {"x": np.zeros(3)} if params is None else params
    save_file(arrays, path, metadata=metadata)
    return path


def metadata(**config: Any) -> dict[str, str]:
    return {"memcore": json.dumps({"format": 1, "model": config})}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"m holds arrays, but no memcore model"),
        ({"format": "pt"}, r"m holds arrays, but no memcore model"),
        ({"memcore": "{}"}, r"m holds no readable model: 'format'"),
        ({"memcore": "{"}, r"m holds no readable model"),
        ({"memcore": '{"format": 2}'}, r"its format is 2, expected 1"),
        (metadata(kind="grv", in_features=3), r"model is 'grv', .*did you mean one of \['gru'"),
        (metadata(kind="gru", in_features=3, size=1), r"GRU has the unknown fields \['size'\]"),
        (metadata(kind="gru"), r"in_features"),
        (metadata(kind="gru", in_features="a"), r"in_features is 'a', expected a positive int"),
        (metadata(kind=["gru"], in_features=3), r"expected a dict whose 'kind' names a model"),
        (metadata(in_features=3), r"expected a dict whose 'kind' names a model"),
    ],
)
def test_foreign(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        memcore.load(write(tmp_path / "m", content))


FLAT = {
    f"{part}/{leaf}": array
    for part, leaves in GRU.init(0).items()
    for leaf, array in leaves.items()
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden/bias": None}, r"lacks the leaf 'hidden/bias' of GRU\(in_features=3"),
        ({"hidden/more": np.zeros(2)}, r"has the leaf 'hidden/more', which GRU.* does not have"),
        (
            {"input/kernel": np.zeros((4, 6))},
            r"has the leaf 'input/kernel' of shape \(4, 6\), expected \(3, 6\) for GRU",
        ),
    ],
    ids=["missing", "extra", "mis-shaped"],
)
def test_leaves_that_do_not_fit(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    flat = {name: x for name, x in {**FLAT, **change}.items() if x is not None}
    config = metadata(kind="gru", in_features=3, hidden_size=2)
    with pytest.raises(ValueError, match="m " + message):
        memcore.load(write(tmp_path / "m", config, flat))
    nested: dict[str, Any] = {"input": {}, "hidden": {}}
    for name, array in flat.items():
        part, leaf = name.split("/")
        nested[part][leaf] = array
    with pytest.raises(ValueError, match="params " + message):
        memcore.save(tmp_path / "new", GRU, nested)
    assert not (tmp_path / "new").exists()


# --- nothing is left half-written ------------------------------------------------------------------


def test_a_failing_save_leaves_the_old_file(
    whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise OSError("no space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(OSError, match="no space left"):
                memcore.save(tmp_path / "whole", GRU, GRU.init(1))
        assert os.listdir(tmp_path) == ["whole"]
        assert (tmp_path / "whole").read_bytes() == whole
    memcore.save(tmp_path / "whole", GRU, GRU.init(1))
    assert os.listdir(tmp_path) == ["whole"]
    assert (tmp_path / "whole").read_bytes() != whole


def test_a_model_that_is_not_registered(tmp_path: Path) -> None:
    class Mine(memcore.GRU):
        pass

    model = Mine(3)
    with pytest.raises(ValueError, match=r"model is a Mine, which is not registered: use @memcore"):
        memcore.save(tmp_path / "m", model, model.init(0))
    assert os.listdir(tmp_path) == []


# --- JSON ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIED)
def test_config_round_trip(name: str) -> None:
    model = VARIED[name]
    again = memcore.from_config(json.loads(json.dumps(memcore.to_config(model))))
    assert again == model and hash(again) == hash(model)


def test_config_of_every_kind_of_field(scaled: Scaled) -> None:
    text = json.dumps(memcore.to_config(scaled), allow_nan=False)
    again = memcore.from_config(json.loads(text))
    assert again == scaled
    assert isinstance(again, Scaled)
    assert again.pairs == (("a", 0.5),) and again.inner == GRU


def test_config_errors() -> None:
    config = memcore.to_config(GRU)
    with pytest.raises(ValueError, match=r"model is 'gruu', .* did you mean one of \['gru'\]"):
        memcore.from_config({**config, "kind": "gruu"})
    with pytest.raises(ValueError, match=r"GRU has the unknown fields \['colour', 'size'\]"):
        memcore.from_config({**config, "size": 1, "colour": 2})
    for wrong in ({}, [], None, "gru"):
        with pytest.raises(ValueError, match=r"^config is .*, expected a dict whose 'kind' names"):
            memcore.from_config(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"in_features"):
        memcore.from_config({"kind": "gru"})


def test_a_field_that_json_does_not_hold(scaled: Scaled) -> None:
    with pytest.raises(TypeError, match=r"^a field holds .*, expected a number"):
        memcore.to_config(Scaled(3, name=b"bytes"))  # type: ignore[arg-type]


def test_a_name_is_given_once() -> None:
    @dataclass(frozen=True)
    class Other(memcore.Cell):
        pass

    Other.__qualname__ = Other.__name__ = "GRU"  # as a user's module may call its own
    Other.__module__ = "somewhere.else"
    try:
        with pytest.raises(ValueError, match=r"^name is 'gru', which already names .*GRU"):
            memcore.register("gru")(Other)
        assert memcore.registry["gru"] is memcore.GRU
    finally:
        memcore.registry["gru"] = memcore.GRU
    memcore.register("gru")(memcore.GRU)


def test_equal_models_make_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        memcore.save(tmp_path / name, GRU, GRU.init(0))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", ["gru", "attention", "ttt_linear", "residual_stack"])
def test_a_state_beside_the_parameters(name: str, tmp_path: Path) -> None:
    """A stream goes on in another process from where it stood."""
    model, rng = MODELS[name], np.random.default_rng(0)
    params = model.init(0)
    xs = rng.standard_normal((2, 9, model.in_features)).astype(np.float32)
    state, _ = model.apply(params, xs[:, :5])
    path = tmp_path / "stream.safetensors"
    memcore.save(path, model, params, state=state)
    again, loaded, kept = memcore.load(path, state=True)
    want = model.apply(params, xs[:, 5:], state)
    got = again.apply(loaded, xs[:, 5:], kept)
    for a, b in zip(optree.tree_leaves(got), optree.tree_leaves(want), strict=True):
        np.testing.assert_array_equal(a, b)
    assert memcore.load(path)[0] == model
    with pytest.raises(ValueError, match="^state does not have the leaves"):
        memcore.save(path, model, params, state={"other": np.zeros(3)})
    memcore.save(path, model, params)
    with pytest.raises(ValueError, match="holds no state of"):
        memcore.load(path, state=True)


def test_rows_are_put_back() -> None:
    for name in ("gru", "attention", "ttt_linear", "residual_stack", "learned_state"):
        model, rng = MODELS[name], np.random.default_rng(0)
        params = model.init(0)
        xs = rng.standard_normal((2, 5, model.in_features)).astype(np.float32)
        state, _ = model.apply(params, xs)
        initial = memcore.initial_state(model, params, (2,), phase=5 % model.grid)
        reset = memcore.reset(model, params, state, np.array([False, True]))
        rows = zip(*map(optree.tree_leaves, (reset, state, initial)), strict=True)
        for got, before, fresh in rows:
            np.testing.assert_array_equal(got[0], before[0])
            np.testing.assert_array_equal(got[1], fresh[1])
