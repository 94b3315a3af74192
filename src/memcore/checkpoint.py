"""Checkpoints: one safetensors file with the parameters, and the configuration as JSON inside."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from memcore.backend import to_numpy, tree_paths
from memcore.cell import Model, Params
from memcore.engine.parameters import check_params
from memcore.registry import from_config, to_config

FORMAT = 1
"""Number of the layout of the file: arrays by path, and ``{"format", "model"}`` as metadata."""


def save(path: str | os.PathLike[str], model: Model, params: Params) -> None:
    """Write a model and its parameters to one file.

    Args:
        path: the file, ``.safetensors`` by custom. It is written beside and renamed, so that it is
            never half there.
        model: of a registered class.
        params: the model's parameters, from any library.

    Raises:
        ValueError: ``params`` do not have the model's leaves or shapes.
    """
    from safetensors.numpy import save as to_bytes

    path = Path(path)
    arrays = {name: np.asarray(to_numpy(leaf), order="C") for name, leaf in tree_paths(params)}
    check_params(model, arrays)
    # One entry: safetensors writes several in a random order, and equal models make equal files.
    metadata = {"memcore": json.dumps({"format": FORMAT, "model": to_config(model)})}
    _replace(path, to_bytes(arrays, metadata))


def _replace(path: Path, content: bytes) -> None:
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(path: str | os.PathLike[str]) -> tuple[Model, Params]:
    """Read what `save` wrote: ``(model, params)``, the parameters as NumPy arrays.

    NumPy itself has no bfloat16: without the package ml_dtypes, which JAX brings along, such parameters
    come as float32, with the same values.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or not one of memcore's, or its leaves are not the model's.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"path is {os.fspath(path)!r}, where no file is")
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            names = list(file.keys())
            narrow = [] if _has_bfloat16() else [n for n in names if _is_bfloat16(file, n)]
            arrays = {name: file.get_tensor(name) for name in names if name not in narrow}
        if narrow:
            arrays |= _widened(path, narrow)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or not a safetensors file: {error}") from error
    if "memcore" not in metadata:
        raise ValueError(f"{path} holds arrays, but no memcore model")
    model = _model(str(path), metadata["memcore"])
    check_params(model, arrays, str(path))
    return model, _nest(arrays)


def _has_bfloat16() -> bool:
    try:
        import ml_dtypes  # noqa: F401
    except ImportError:
        return False
    return True


def _is_bfloat16(file: Any, name: str) -> bool:
    return bool(file.get_slice(name).get_dtype() == "BF16")


def _widened(path: str | os.PathLike[str], names: list[str]) -> dict[str, Any]:
    """Arrays of bfloat16 as float32, of which they are the upper half."""
    from safetensors import deserialize

    found = {name: view for name, view in deserialize(Path(path).read_bytes()) if name in names}
    return {
        name: (np.frombuffer(view["data"], "<u2").astype("<u4") << 16)
        .view("<f4")
        .reshape(view["shape"])
        for name, view in found.items()
    }


def _model(path: str, text: str) -> Model:
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, expected {FORMAT}")
        return from_config(content["model"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no readable model: {error}") from error


def _nest(arrays: dict[str, Any]) -> Params:
    params: Params = {}
    for name, leaf in arrays.items():
        *path, last = name.split("/")
        at = params
        for part in path:
            at = at.setdefault(part, {})
        at[last] = leaf
    return params
