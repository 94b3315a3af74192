"""The golden vectors in tests/golden: numbers of implementations that share nothing with ours."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "golden"


@functools.cache
def index() -> dict[str, dict[str, Any]]:
    """Name -> entry: paper, reference, equations, tolerance, config."""
    entries = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))["entries"]
    return {entry["name"]: entry for entry in entries}


def load(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The entry of `name` and its arrays, read-only, keyed "in/*", "param/*", "out/*", ..

    "out/*" starts from the zero state, "out_init/*" from "init/*"; the equations give the shapes.
    """
    entry = index()[name]
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    for array in arrays.values():
        array.flags.writeable = False
    return entry, arrays
