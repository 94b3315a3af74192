"""Checkpoints whose header and arrays do not belong together, and leaves that are no numbers."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as to_bytes

import memcore
from memcore.backend import TooManyNumbers, as_draw, at_most, tree_paths

GRU = memcore.GRU(3, hidden_size=2)
STACK = memcore.ResidualStack(3, model=memcore.GRU(2))


def write(path: Path, text: str, model: memcore.Model = GRU) -> Path:
    """The arrays of ``model`` under another configuration."""
    path.write_bytes(to_bytes(dict(tree_paths(model.init(0))), {"memcore": text}))
    return path


def metadata(config: Any) -> str:
    return json.dumps({"format": 1, "model": config})


def nested(depth: int, **fields: Any) -> dict[str, Any]:
    config = memcore.to_config(memcore.GRU(2))
    for _ in range(depth):
        config = {"kind": "residual_stack", "in_features": 2, "model": config, **fields}
    return config


# --- models larger than their file -----------------------------------------------------------------

TOO_LARGE: dict[str, tuple[Any, memcore.Model]] = {
    **{
        f"hidden_size={n}": ({**memcore.to_config(GRU), "hidden_size": n}, GRU)
        for n in (10**4, 10**6, 10**12, 10**30, 10**400)
    },
    **{
        f"layers={n}": ({**memcore.to_config(STACK), "layers": n}, STACK)
        for n in (2000, 10**5, 10**7, 10**12, 10**30)
    },
    "in_features": ({**memcore.to_config(GRU), "in_features": 10**9}, GRU),
    "max_length": (
        {**memcore.to_config(STACK), "position": "learned", "max_length": 10**9},
        STACK,
    ),
    "mlp_factor": ({**memcore.to_config(STACK), "mlp_factor": 1e12}, STACK),
    "mlp_factor inf": ({**memcore.to_config(STACK), "mlp_factor": float("inf")}, STACK),
    "heads": ({**memcore.to_config(memcore.LinearAttention(4)), "heads": 10**9}, GRU),
    "stacks of stacks": (nested(40, layers=2), STACK),
    "stacks of layers": (nested(4, layers=500), STACK),
    "inner layers": (
        {**memcore.to_config(STACK), "model": [nested(1, layers=10**9), nested(1)]},
        STACK,
    ),
}


@pytest.fixture
def little_memory() -> Iterator[None]:
    """What is built on the way to the error, in proportion to files of 1 to 10 KB."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", TOO_LARGE)
def test_larger_than_the_file(name: str, tmp_path: Path, little_memory: None) -> None:
    config, model = TOO_LARGE[name]
    path = write(tmp_path / "m", metadata(config), model)
    with pytest.raises(ValueError, match=r"^.*/m (has|holds|lacks) "):
        memcore.load(path)


def test_the_message_says_why(tmp_path: Path) -> None:
    path = write(tmp_path / "m", metadata({**memcore.to_config(GRU), "hidden_size": 10**6}))
    with pytest.raises(ValueError, match=r"has \d+ bytes, too few for the parameters of its GRU"):
        memcore.load(path)
    path = write(tmp_path / "m", metadata({**memcore.to_config(STACK), "layers": 10**7}), STACK)
    with pytest.raises(ValueError, match=r"layers is 10000000, expected no more than .* bytes"):
        memcore.load(path)


def test_arrays_are_read_after_their_names_and_shapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors

    class Header:
        def __init__(self, *args: Any, **options: Any) -> None:
            self.file = safe_open(*args, **options)

        def __enter__(self) -> Any:
            self.file.__enter__()
            return self

        def __exit__(self, *args: Any) -> None:
            self.file.__exit__(*args)

        def __getattr__(self, name: str) -> Any:
            assert name != "get_tensor", "an array was read"
            return getattr(self.file, name)

    safe_open = safetensors.safe_open
    path = write(tmp_path / "m", metadata({**memcore.to_config(GRU), "hidden_size": 4}))
    monkeypatch.setattr(safetensors, "safe_open", Header)
    with pytest.raises(ValueError, match=r"of shape \(6,\), expected \(12,\) for GRU"):
        memcore.load(path)


@dataclass(frozen=True)
class Thrifty(memcore.Cell):
    """A user's own cell, which draws more than it keeps, and not through memcore."""

    own: bool = False

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        if self.own:
            return {"w": np.random.default_rng(key).standard_normal((2, 2))}
        square = as_draw(key, dtype).normal("w", (500, 500))
        return {"w": square[:1, :]}

    def initial_state(self, params: Any) -> Any:
        return np.zeros(self.in_features)


@pytest.fixture
def thrifty() -> Iterator[None]:
    memcore.register("thrifty_for_this_test")(Thrifty)
    yield
    del memcore.registry["thrifty_for_this_test"]


@pytest.mark.parametrize("own", [False, True])
def test_a_model_that_draws_more_than_it_keeps(own: bool, tmp_path: Path, thrifty: None) -> None:
    model = Thrifty(3, own)
    params = model.init(0)
    memcore.save(tmp_path / "m", model, params)
    found, loaded = memcore.load(tmp_path / "m")
    assert found == model
    np.testing.assert_array_equal(loaded["w"], params["w"])


def test_a_large_model_fits_its_file(tmp_path: Path) -> None:
    """More numbers than are drawn without asking, in each dtype of a file."""
    model = memcore.GRU(500, hidden_size=500)
    for dtype in ("float16", "float32"):
        memcore.save(tmp_path / "m", model, model.init(0, dtype))
        assert memcore.load(tmp_path / "m")[0] == model


def test_draws_are_counted_before_they_are_drawn() -> None:
    with at_most(1000), pytest.raises(TooManyNumbers):
        as_draw(0).normal("x", (10**9, 10**9))
    with at_most(1000), pytest.raises(TooManyNumbers):
        for i in range(1000):
            as_draw(0).child(str(i))
    with at_most(1000):
        as_draw(0).uniform("x", (10, 10))
    as_draw(0).full((2000,), 1.0)


@pytest.mark.parametrize("window", [10**12, 10**15, 10**30])
def test_a_state_larger_than_the_file(window: int, tmp_path: Path) -> None:
    """Its parameters are as those of any window."""
    small = memcore.Attention(4, heads=2, window=3)
    arrays = dict(tree_paths(small.init(0)))
    state = memcore.initial_state(small, small.init(0))
    arrays |= {f"state:{name}": leaf for name, leaf in tree_paths(state)}
    config = {**memcore.to_config(small), "window": window}
    (tmp_path / "m").write_bytes(to_bytes(arrays, {"memcore": metadata(config)}))
    with pytest.raises(ValueError, match=r"^.*/m holds no state of Attention"):
        memcore.load(tmp_path / "m", state=True)


def test_a_leaf_too_many_in_a_state(tmp_path: Path) -> None:
    arrays = dict(tree_paths(GRU.init(0))) | {"state:": np.ones((1, 2)), "state:x": np.ones(1)}
    (tmp_path / "m").write_bytes(to_bytes(arrays, {"memcore": metadata(memcore.to_config(GRU))}))
    with pytest.raises(ValueError, match=r"^.*/m holds no state of GRU"):
        memcore.load(tmp_path / "m", state=True)


# --- JSON that is nested without end ---------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10**5,
        "[" * 10**5 + "]" * 10**5,
        '{"a":' * 10**5 + "1" + "}" * 10**5,
        '{"format": 1, "model": ' + '{"kind":"residual_stack","in_features":2,"model":' * 5000
        + "1" + "}" * 5001,
        '{"format": 1, "model": {"kind": "gru", "in_features": ' + "[" * 900 + "]" * 900 + "}}",
    ],
    ids=["open", "lists", "dicts", "models", "field"],
)  # fmt: skip
def test_nested_json(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^.*/m holds no readable model: "):
        memcore.load(write(tmp_path / "m", text))


@pytest.mark.parametrize("depth", [50, 100, 150, 200, 250, 300])
def test_models_within_models(depth: int, tmp_path: Path) -> None:
    """However deep, in words of ours."""
    path = write(tmp_path / "m", metadata(nested(depth, layers=1)), STACK)
    with pytest.raises(ValueError, match=r"^.*/m (has|holds|lacks) "):
        memcore.load(path)


def test_config_of_models_without_end() -> None:
    config: dict[str, Any] = memcore.to_config(STACK)
    config["model"] = config
    with pytest.raises(ValueError, match=r"^config is nested too deeply"):
        memcore.from_config(config)


@pytest.mark.parametrize("content", ["[]", "1", "null", '"x"', '{"format": 1, "model": "ab"}',
                                     '{"format": 1, "model": null}', '{"format": 1}'])  # fmt: skip
def test_json_of_another_kind(content: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^.*/m holds no readable model: "):
        memcore.load(write(tmp_path / "m", content))


# --- leaves ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["object", "<U3", "S3", "complex128", "datetime64[s]", "longdouble"]
)
def test_leaves_that_no_file_holds(dtype: str, tmp_path: Path) -> None:
    params = GRU.init(0)
    params["input"]["kernel"] = np.zeros((3, 6), dtype)
    message = (
        r"^params has the leaf 'input/kernel' of dtype .*, expected numbers of at most 64 bits"
    )
    with pytest.raises(TypeError, match=message):
        memcore.save(tmp_path / "m", GRU, params)
    params["input"]["kernel"] = "a string"
    with pytest.raises(TypeError, match=message):
        memcore.save(tmp_path / "m", GRU, params)
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_no_file_holds(tmp_path: Path) -> None:
    for dtype in ("object", "<U3", "complex128"):
        with pytest.raises(TypeError, match="^state has the leaf '' of dtype .*, expected numbers"):
            memcore.save(tmp_path / "m", GRU, GRU.init(0), state=np.zeros((1, 2), dtype))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_model(tmp_path: Path) -> None:
    for wrong in ("gru", None, memcore.GRU):
        with pytest.raises(TypeError, match=r"^model is .*, expected a memcore\.Model"):
            memcore.save(tmp_path / "m", wrong, GRU.init(0))  # type: ignore[arg-type]


def test_a_dtype_that_numpy_does_not_have(tmp_path: Path) -> None:
    header = {"__metadata__": {"memcore": metadata(memcore.to_config(GRU))},
              "x": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}  # fmt: skip
    head = json.dumps(header).encode()
    (tmp_path / "m").write_bytes(len(head).to_bytes(8, "little") + head + b"0")
    with pytest.raises(
        ValueError, match=r"has the leaf 'x' of dtype F8_E4M3, which NumPy does not"
    ):
        memcore.load(tmp_path / "m")


def test_names_of_models() -> None:
    for wrong in (None, 3, memcore.GRU):
        with pytest.raises(TypeError, match=r"^name is .*, expected a str"):
            memcore.register(wrong)  # type: ignore[arg-type]
    for wrong in (None, "gru", int, GRU):
        with pytest.raises(TypeError, match=r"^cls is .*, expected a subclass of memcore\.Model"):
            memcore.register("x")(wrong)  # type: ignore[type-var]
    assert "x" not in memcore.registry
