"""memcore's gated cells against torch's, on the CPU."""

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
    w = {name: jnp.asarray(value.detach().numpy()) for name, value in layer.named_parameters()}
    return {
        "input": {"kernel": w["weight_ih_l0"].T, "bias": w["bias_ih_l0"]},
        "hidden": {"kernel": w["weight_hh_l0"].T, "bias": w["bias_hh_l0"]},
    }


def program(layer: Any, x: Any) -> Program:
    """Forward plus gradient of sum(sin(output)), by all parameters and the input."""
    x = torch.tensor(np.asarray(x), requires_grad=True)
    wanted = (*layer.parameters(), x)

    def run() -> tuple[Any, Any]:
        out = layer(x)[0]
        gradients = torch.autograd.grad(torch.sin(out).sum(), wanted)
        return out.detach().numpy(), [g.numpy() for g in gradients]

    return Program(run)


def pairs(n: Sizes) -> dict[str, Callable[[], Pair]]:
    x = problems.features(n)
    threads = f"torch on the CPU, threads: {torch.get_num_threads()}"

    def pair(kind: Any, model: memcore.Model) -> Pair:
        if jax.default_backend() != "cpu":
            raise NotRun("torch runs on the CPU, JAX does not")
        torch.manual_seed(0)
        layer = kind(n.width, n.width, batch_first=True)
        ours = lambda params, x: model.apply(params, x)[1]  # noqa: E731
        args, name = (params_of(layer), x), f"nn.{kind.__name__}"
        return Pair(name, ours, program(layer, x), args, (None, x), note=threads)

    def gru() -> Pair:
        return pair(torch.nn.GRU, memcore.GRU(n.width, hidden_size=n.width))

    def lstm() -> Pair:
        return pair(torch.nn.LSTM, memcore.LSTM(n.width, hidden_size=n.width))

    return {"gru": gru, "lstm": lstm}
