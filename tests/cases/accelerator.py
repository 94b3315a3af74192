"""Taking this device for one of another kind."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest


def taken_for(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a test JAX's device is a ``"gpu"`` or ``"tpu"``; nothing that was compiled before is used."""
    import jax

    from memcore.backend import jax_functions
    from memcore.ops.linear import _jax

    @partial(jax.jit, static_argnums=(0, 1))
    @jax_functions.broadcasting
    def compiled(run: Any, statics: Any, args: Any) -> Any:
        return run(*statics, *args)

    for module in (jax_functions, _jax):
        monkeypatch.setattr(module, "platform", lambda x: kind)
    monkeypatch.setattr(jax_functions, "_compiled", compiled)
