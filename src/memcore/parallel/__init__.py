"""Sequences over several devices: `memcore.parallel.apply` inside `jax.shard_map`."""

from memcore.parallel.pieces import apply as apply
