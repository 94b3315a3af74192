"""Checkpoints: one safetensors file with the parameters, and the configuration as JSON inside."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from memcore import files
from memcore.backend import (
    TooManyNumbers,
    at_most,
    is_bool,
    is_floating,
    nested,
    to_numpy,
    tree_flatten,
    tree_paths,
    tree_unflatten,
)
from memcore.cell import Model, Params, State
from memcore.engine import initial_state
from memcore.engine.checks import as_array
from memcore.engine.grid import with_phase
from memcore.engine.parameters import check_params, whole
from memcore.registry import from_config, to_config
from memcore.types import Array, Tree, Value

FORMAT = 1
"""Number of the layout of the file: arrays by path, and ``{"format", "model"}`` as metadata."""

DTYPES = {
    "BOOL": "bool", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
    "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "C64": "complex64",
}  # fmt: skip
"""What a file holds, by the names in it."""


STATE = "state:"
"""How the names of a state's leaves begin, which no name of a parameter does."""


def save(
    path: str | os.PathLike[str], model: Model, params: Params, *, state: State = None
) -> None:
    """Write a model and its parameters to one file, and a state beside them if there is one.

    Args:
        path: the file, ``.safetensors`` by custom. It is written beside and renamed, so that it is
            never half there; one that was there leaves its mode, and a link goes on to point to it.
            What a killed process left half-written in the folder is removed.
        model: of a registered class.
        params: the model's parameters, from any library.
        state: a state as a run returns it, for example behind a long prompt.

    Raises:
        ValueError: ``params`` or ``state`` do not have the model's leaves or shapes, or ``path`` names no
            file.
        TypeError: a leaf does not hold numbers of at most 64 bits, or ``model`` is no model.
        OSError: there cannot be a file at ``path``: its folder is not there, it is a folder itself.
    """
    from safetensors.numpy import save as to_bytes

    target, config = files.checked_path(path), to_config(model)
    arrays = {name: _numbers("params", name, leaf) for name, leaf in tree_paths(params)}
    check_params(model, arrays)
    if state is not None:
        arrays |= _state_arrays(model, params, state)
    # One entry: safetensors writes several in a random order, and equal models make equal files.
    metadata = {"memcore": json.dumps({"format": FORMAT, "model": config})}
    files.replace(target, to_bytes(arrays, metadata))


def _numbers(source: str, name: str, leaf: Array) -> np.ndarray:
    array = np.asarray(to_numpy(as_array(leaf, f"{source}/{name}")), order="C")
    if array.dtype.name not in DTYPES.values():
        raise TypeError(
            f"{source} has the leaf {name!r} of dtype {array.dtype}, expected numbers of at "
            "most 64 bits"
        )
    return array


def _state_arrays(model: Model, params: Params, state: State) -> dict[str, np.ndarray]:
    wanted = initial_state(model, params)
    if tree_flatten(state)[1] != tree_flatten(wanted)[1]:
        raise ValueError(f"state does not have the leaves of a state of {model!r}")
    found = {f"{STATE}{name}": _numbers("state", name, leaf) for name, leaf in tree_paths(state)}
    _check_state(found, wanted)
    return found


def _check_state(found: dict[str, np.ndarray], wanted: State) -> None:
    """Raise unless leaf by leaf the kinds are those of a state, and all have the same batch axes in front."""
    batch = None
    for (name, leaf), (_, want) in zip(found.items(), tree_paths(wanted), strict=True):
        if is_floating(leaf) != is_floating(want) or is_bool(leaf) != is_bool(want):
            raise TypeError(f"{name} has dtype {leaf.dtype}, expected one like {want.dtype}")
        axes = leaf.ndim - want.ndim
        batch = leaf.shape[:axes] if batch is None else batch
        if axes < 0 or leaf.shape != (*batch, *want.shape):
            expected = f"(*batch, {', '.join(map(str, want.shape))})" if want.shape else "(*batch,)"
            raise ValueError(
                f"{name} has shape {leaf.shape}, expected {expected} with the batch {batch} of the first leaf"
            )


@overload
def load(path: str | os.PathLike[str]) -> tuple[Model, Params]: ...


@overload
def load(path: str | os.PathLike[str], *, state: Literal[True]) -> tuple[Model, Params, State]: ...


def load(path: str | os.PathLike[str], *, state: bool = False) -> tuple[Tree, ...]:
    """Read what `save` wrote: ``(model, params)``, the parameters as NumPy arrays; with ``state``
    ``(model, params, state)``.

    The configuration is held against the names and shapes in the file before an array is read, and a
    model larger than its file is not built.

    NumPy itself has no bfloat16: without the package ml_dtypes, which JAX brings along, such parameters
    come as float32, with the same values.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such file, or a folder.
        ValueError: the file is damaged or not one of memcore's, or its leaves are not the model's.
    """
    from safetensors import SafetensorError, safe_open

    path = files.existing_path(path)
    try:
        with safe_open(path, framework="numpy") as file:
            model = _model(path, file.metadata() or {})
            names = list(file.keys())
            own = [name for name in names if not name.startswith(STATE)]
            _check_header(path, model, {name: _outline(path, file, name) for name in own})
            narrow = [] if _has_bfloat16() else [n for n in names if _dtype(file, n) == "BF16"]
            arrays = {name: file.get_tensor(name) for name in names if name not in narrow}
        if narrow:
            arrays |= _widened(path, narrow)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or not a safetensors file: {error}") from error
    own_arrays = {name: leaf for name, leaf in arrays.items() if not name.startswith(STATE)}
    params = whole(model, nested(own_arrays))
    if not state:
        return model, params
    return model, params, _state_of(path, model, params, arrays)


def _state_of(path: str, model: Model, params: Params, arrays: dict[str, Any]) -> State:
    try:
        # Not `initial_state`, which makes an array of it: zeros of NumPy take no memory until then.
        wanted = model.initial_state(params)
    except (MemoryError, ValueError) as error:
        raise ValueError(f"{path} holds no state of {model!r}, which is too large") from error
    wanted = with_phase(wanted, 0, (), np.zeros(0)) if model.grid > 1 else wanted
    names = [f"{STATE}{name}" for name, _ in tree_paths(wanted)]
    if not names or set(names) != {name for name in arrays if name.startswith(STATE)}:
        raise ValueError(f"{path} holds no state of {model!r}")
    found = {name: arrays[name] for name in names}
    try:
        _check_state(found, wanted)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{path} holds no state of {model!r}: {error}") from error
    return tree_unflatten(tree_flatten(wanted)[1], list(found.values()))


def _model(path: str, metadata: dict[str, str]) -> Model:
    if "memcore" not in metadata:
        raise ValueError(f"{path} holds arrays, but no memcore model")
    try:
        content = json.loads(metadata["memcore"])
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, expected {FORMAT}")
        _check_layers(content["model"], os.path.getsize(path))
        return from_config(content["model"])
    except RecursionError:
        raise ValueError(f"{path} holds no readable model: it is nested too deeply") from None
    except (AttributeError, ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no readable model: {error}") from error


def _check_layers(config: Value, size: int) -> None:
    """Before a stack makes a list of them: no layer takes less than a byte."""
    for layers in _layers(config):
        if isinstance(layers, int) and layers > size:
            raise ValueError(f"layers is {layers}, expected no more than the file's {size} bytes")


def _layers(config: Value) -> Iterator[Value]:
    if isinstance(config, dict):
        yield config.get("layers")
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from _layers(part)


def _check_header(path: str, model: Model, outlines: dict[str, np.ndarray]) -> None:
    """Raise ValueError unless the model has these leaves; the work is bounded by the file's size."""
    size = os.path.getsize(path)
    try:
        # What is drawn may be more than what is kept of it, and a little costs nothing.
        with at_most(4 * size + 2**20):
            check_params(model, outlines, path)
    except TooManyNumbers:
        raise ValueError(
            f"{path} has {size} bytes, too few for the parameters of its {type(model).__name__}"
        ) from None
    except (ArithmeticError, MemoryError, RecursionError, TypeError) as error:
        kind = type(error).__name__
        raise ValueError(f"{path} holds no model that can be built: {kind}: {error}") from error


def _dtype(file: Value, name: str) -> str:
    return str(file.get_slice(name).get_dtype())


def _outline(path: str, file: Value, name: str) -> np.ndarray:
    """An array of the shape and kind of the one in the file, that takes no memory."""
    dtype = _dtype(file, name)
    if dtype not in DTYPES:
        raise ValueError(
            f"{path} has the leaf {name!r} of dtype {dtype}, which NumPy does not have"
        )
    kind = "float32" if dtype == "BF16" else DTYPES[dtype]
    return np.broadcast_to(np.zeros((), kind), file.get_slice(name).get_shape())


def _has_bfloat16() -> bool:
    try:
        import ml_dtypes  # noqa: F401
    except ImportError:
        return False
    return True


def _widened(path: str, names: list[str]) -> dict[str, Any]:
    """Arrays of bfloat16 as float32, of which they are the upper half."""
    from safetensors import deserialize

    found = {name: view for name, view in deserialize(Path(path).read_bytes()) if name in names}
    return {
        name: (np.frombuffer(view["data"], "<u2").astype("<u4") << 16)
        .view("<f4")
        .reshape(view["shape"])
        for name, view in found.items()
    }
