"""Recurrent and memory sequence models: one definition, every execution mode, resets everywhere."""

import importlib
from typing import TYPE_CHECKING, Any

from memcore import nn as nn
from memcore import ops as ops
from memcore.backend import Draw as Draw
from memcore.backend import as_draw as as_draw
from memcore.cell import Cell as Cell
from memcore.cell import GatedCell as GatedCell
from memcore.cell import Memoroid as Memoroid
from memcore.cell import Model as Model
from memcore.checkpoint import load as load
from memcore.checkpoint import save as save
from memcore.engine import Call as Call
from memcore.engine import explain as explain
from memcore.engine import initial_state as initial_state
from memcore.engine import reset as reset
from memcore.engine import scan as scan
from memcore.engine import step as step
from memcore.generation import generate as generate
from memcore.registry import from_config as from_config
from memcore.registry import register as register
from memcore.registry import registry as registry
from memcore.registry import to_config as to_config
from memcore.starts import starts_from_cu_seqlens as starts_from_cu_seqlens
from memcore.starts import starts_from_dones as starts_from_dones
from memcore.starts import starts_from_lengths as starts_from_lengths
from memcore.starts import starts_from_next_step as starts_from_next_step
from memcore.starts import starts_from_segment_ids as starts_from_segment_ids
from memcore.starts import starts_from_trials as starts_from_trials
from memcore.starts import valid_from_lengths as valid_from_lengths

if TYPE_CHECKING:
    from memcore import compose as compose
    from memcore import convert as convert
    from memcore import inspect as inspect
    from memcore import networks as networks
    from memcore import parallel as parallel
    from memcore import rl as rl
    from memcore import testing as testing
    from memcore.compose import *
    from memcore.models import *

__version__ = "0.1.0"

_LATER = {
    "compose": "memcore.compose",
    "convert": "memcore.convert",
    "inspect": "memcore.inspect",
    "networks": "memcore.networks",
    "parallel": "memcore.parallel",
    "rl": "memcore.rl",
    "testing": "memcore.testing",
}
_CORE = [
    name
    for name in globals()
    if name[0] != "_" and name not in ("Any", "TYPE_CHECKING", "importlib")
]


def __getattr__(name: str) -> Any:
    """Models, and what few programs need, are loaded when they are first asked for."""
    if name == "__all__":
        return __dir__()
    found: Any = None
    if name in _LATER:
        found = importlib.import_module(_LATER[name])
    elif not name.startswith("_"):
        found = _models().get(name)
    if found is None:
        raise AttributeError(f"module 'memcore' has no attribute {name!r}")
    globals()[name] = found
    return found


def _models() -> dict[str, type[Model]]:
    """memcore's own models, by the names of their classes."""
    own = (cls for cls in registry.values() if cls.__module__.startswith("memcore."))
    return {cls.__name__: cls for cls in own}


def __dir__() -> list[str]:
    return sorted({*_CORE, *_LATER, *_models()})
