"""memcore against the native JAX chunkwise form of mlstm_kernels 2.0.6."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import mlstm_kernels
from harness import Pair
from sizes import Sizes

import memcore
from peers import problems

PACKAGES = ("mlstm_kernels",)
# 64 is its default.
CHUNKS = (32, 64, 128)


def native_chunkwise() -> Callable[..., Any]:
    """Its function; the package around it imports Triton, which a CPU lacks, so it is left out."""
    name = "mlstm_kernels.jax.chunkwise"
    package = types.ModuleType(name)
    package.__path__ = [str(Path(mlstm_kernels.__file__).parent / "jax" / "chunkwise")]
    sys.modules.setdefault(name, package)
    return importlib.import_module(f"{name}.native.fwbw").mlstm_chunkwise__native_autograd


def pairs(n: Sizes) -> dict[str, Callable[[], Pair]]:
    def mlstm(chunk: int) -> Pair:
        chunkwise = native_chunkwise()
        q, k, v = problems.heads(n)
        log_input, forget = problems.gates(n)

        def ours(q: Any, k: Any, v: Any, i: Any, f: Any) -> Any:
            scale = n.size**-0.5
            return memcore.ops.mlstm(q, k, v, i, jax.nn.log_sigmoid(f), scale=scale)[1]

        def theirs(q: Any, k: Any, v: Any, i: Any, f: Any) -> Any:
            return chunkwise(q, k, v, i, f, chunk_size=chunk)

        args = (q, k, v, log_input, forget + 3.0)
        name = f"mLSTM, its chunks of {chunk}"
        return Pair(name, ours, theirs, args, _swapped(args), theirs_like_ours=_swapped)

    return {f"mlstm {chunk}": partial(mlstm, chunk) for chunk in CHUNKS}


def _swapped(tree: Any) -> Any:
    """Their layout has the heads before the time."""
    return jax.tree.map(lambda x: jnp.swapaxes(x, 1, 2), tree)
