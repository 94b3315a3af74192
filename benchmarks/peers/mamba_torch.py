"""memcore's Mamba against those of transformers and mambapy, both torch on the CPU, with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import torch
from harness import Pair, Program
from jobs import NotRun
from mambapy.mamba import MambaBlock
from mambapy.mamba import MambaConfig as BlockConfig
from sizes import Sizes
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer

from memcore.convert import from_weights
from peers import problems
from peers.torch import gradients_of

PACKAGES = ("torch", "transformers", "mambapy")


SHORT = 256
"""Steps of transformers' row: its gradient is quadratic in them, 90 s for 1,024."""


def pairs(n: Sizes) -> dict[str, Callable[[], Pair]]:
    width = n.width

    def pair(name: str, layer: Any, n: Sizes = n, note: str = "") -> Pair:
        x = problems.features(n)
        if jax.default_backend() != "cpu":
            raise NotRun("their kernels for a GPU are other ones")
        weights = {name: value.detach().numpy() for name, value in layer.named_parameters()}
        model, params = from_weights("transformers.MambaMixer", weights)
        return Pair(
            name,
            lambda params, x: model.apply(params, x)[1],
            Program(gradients_of(layer, x, "cpu")),
            (jax.tree.map(jnp.asarray, params), x),
            (None, x),
            lambda tree: jax.tree.map(lambda leaf: leaf.numpy(), tree),
            note=f"threads: {torch.get_num_threads()}{note}",
        )

    def transformers() -> Pair:
        torch.manual_seed(0)
        mixer = MambaMixer(MambaConfig(hidden_size=width, state_size=16), layer_idx=0)
        fewer = replace(n, length=min(n.length, SHORT))
        note = f"; {fewer.length} steps, its gradient is quadratic in them"
        return pair("transformers' MambaMixer, its slow path", mixer, fewer, note)

    def mambapy() -> Pair:
        torch.manual_seed(0)
        return pair("mambapy's MambaBlock, a parallel scan", MambaBlock(BlockConfig(width, 1)))

    return {build.__name__: build for build in (transformers, mambapy)}
