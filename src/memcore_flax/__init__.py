"""Flax modules of memcore's models: `memcore_flax.linen` and `memcore_flax.nnx`."""

from __future__ import annotations

try:
    import flax
except ImportError as error:
    raise ImportError('memcore_flax needs flax: pip install "memcore[flax]"') from error

from memcore_flax import linen as linen
from memcore_flax import nnx as nnx

__all__ = ["linen", "nnx"]
