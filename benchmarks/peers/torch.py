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


def gru_params(layer: torch.nn.GRU) -> Any:
    """torch's parameters of a GRU as memcore's."""
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

    def gru() -> Pair:
        if jax.default_backend() != "cpu":
            raise NotRun("torch runs on the CPU, JAX does not")
        torch.manual_seed(0)
        layer = torch.nn.GRU(n.width, n.width, batch_first=True)
        model = memcore.GRU(n.width, hidden_size=n.width)
        ours = lambda params, x: model.apply(params, x)[1]  # noqa: E731
        args = (gru_params(layer), x)
        return Pair("nn.GRU", ours, program(layer, x), args, (None, x), note=threads)

    return {"gru": gru, "lstm": problems.no_lstm}
