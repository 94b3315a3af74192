"""memcore's gated cells against torch's (a GPU's are cuDNN's), on the device that JAX uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from harness import Pair, Program
from jobs import NotRun
from sizes import Sizes

import memcore
from peers import problems

PACKAGES = ("torch",)


def params_of(layer: Any) -> Any:
    """torch's parameters of a GRU or an LSTM as memcore's."""
    w = {
        name: jnp.asarray(value.detach().cpu().numpy()) for name, value in layer.named_parameters()
    }
    return {
        "input": {"kernel": w["weight_ih_l0"].T, "bias": w["bias_ih_l0"]},
        "hidden": {"kernel": w["weight_hh_l0"].T, "bias": w["bias_hh_l0"]},
    }


def gradients_of(layer: Any, x: Any, device: str) -> Callable[[], tuple[Any, Any]]:
    """Forward plus gradient of half the sum of its squares, by all parameters and the input."""
    x = torch.tensor(np.asarray(x), device=device, requires_grad=True)
    wanted = (*layer.parameters(), x)

    def run() -> tuple[Any, Any]:
        out = layer(x)
        out = out[0] if isinstance(out, tuple) else out
        gradients = torch.autograd.grad(0.5 * (out * out).sum(), wanted)
        if device != "cpu":
            torch.cuda.synchronize()
        return out.detach(), gradients

    return run


def pairs(n: Sizes) -> dict[str, Callable[[], Pair]]:
    x = problems.features(n)
    device = {"cpu": "cpu", "gpu": "cuda"}[jax.default_backend()]
    note = f"torch on the CPU, threads: {torch.get_num_threads()}" if device == "cpu" else "cuDNN"

    def pair(kind: Any, model: memcore.Model) -> Pair:
        if device == "cuda" and not torch.cuda.is_available():
            raise NotRun("this torch runs on the CPU, JAX does not")
        torch.manual_seed(0)
        layer = kind(n.width, n.width, batch_first=True).to(device)
        ours = lambda params, x: model.apply(params, x)[1]  # noqa: E731
        like_ours = lambda tree: jax.tree.map(lambda leaf: leaf.cpu().numpy(), tree)  # noqa: E731
        args, their_args, name = (params_of(layer), x), (None, x), f"nn.{kind.__name__}"
        return Pair(
            name,
            ours,
            Program(gradients_of(layer, x, device)),
            args,
            their_args,
            like_ours,
            note=note,
        )

    def gru() -> Pair:
        return pair(torch.nn.GRU, memcore.GRU(n.width, hidden_size=n.width))

    def lstm() -> Pair:
        return pair(torch.nn.LSTM, memcore.LSTM(n.width, hidden_size=n.width))

    return {"gru": gru, "lstm": lstm}
