"""Files that are whole or not there: written beside, then renamed."""

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memcore.types import Value


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A path to write to; it becomes `path` at the end, and is removed after an exception."""
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def drafts(folder: Path, *names: str) -> list[Path]:
    """What killed processes left in a folder of the files with these names, while they wrote them."""
    ours = [re.escape(Path(name).stem) + r"\.\d+" + re.escape(Path(name).suffix) for name in names]
    pattern = re.compile(r"\.(" + "|".join(ours) + ")")
    return [path for path in folder.iterdir() if pattern.fullmatch(path.name)]


def write_json(path: Path, value: Value) -> None:
    """Write `value` as indented JSON."""
    with beside(path) as draft:
        draft.write_text(json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Value:
    """The value in a JSON file; ValueError naming the file where it is broken."""
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def read_yaml(path: Path) -> Value:
    """The value in a YAML file; ValueError naming the file where it is broken."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads 1e-3 as a number, as YAML 1.2 does."""

    number = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        return yaml.load(path.read_text(), Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error


def finite(value: Value) -> Value:
    """`value` for JSON, which has no NaN and no infinity: None in their place."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def numbers(values: dict[str, Any]) -> dict[str, Any]:
    """What `finite` made, read again: NaN in the place of None."""
    return {key: math.nan if value is None else value for key, value in values.items()}
