"""Pre-norm residual stack with gated MLPs.

Xiong et al. 2020, arXiv:2002.04745 (the norm before each branch); RMSNorm, Zhang and Sennrich 2019,
arXiv:1910.07467; SwiGLU, Shazeer 2020, arXiv:2002.05202.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import float64, rms_norm, silu


def residual_stack(
    params: Any,
    xs: Any,
    starts: Any = None,
    state: int | None = None,
    *,
    inner: Callable[[Any, Any, Any], Any],
) -> tuple[int, Any]:
    """xs (T, in) -> (steps since the start, ys (T, out)); inner(params, xs, starts) -> ys (T, d).

    h = x W_encoder + b, or the rows x of a table for tokens xs (T,), (+ E[min(n, L - 1)], n the steps
    since the start), then for every layer h = h + inner(RMSNorm(h)) (W_project, if there is one)
    and, if there is an MLP, m = RMSNorm(h);  h = h + (silu(m W_gate) * (m W_up)) W_down
    y = RMSNorm(h) W_head + b. `inner` begins afresh at xs[0]: its state is not part of this one's.
    """
    p, xs = float64(params), float64(xs)
    if "embedding" in p["encoder"]:
        hs = p["encoder"]["embedding"][xs.astype(int)]
    else:
        hs = xs @ p["encoder"]["kernel"] + p["encoder"]["bias"]
    steps = 0 if state is None else state
    for t in range(len(xs)):
        steps = 0 if starts is not None and starts[t] else steps
        if "position" in p:
            table = p["position"]["embedding"]
            hs[t] += table[min(steps, len(table) - 1)]
        steps += 1
    for i in range(sum(name.startswith("layer_") for name in p)):
        layer = p[f"layer_{i}"]
        ys = np.asarray(inner(layer["model"], rms_norm(hs, layer["norm"]["scale"]), starts))
        hs = hs + (ys @ layer["project"]["kernel"] if "project" in layer else ys)
        if "mlp" not in layer:
            continue
        ms, mlp = rms_norm(hs, layer["mlp_norm"]["scale"]), layer["mlp"]
        gated = silu(ms @ mlp["gate"]["kernel"]) * (ms @ mlp["up"]["kernel"])
        hs = hs + gated @ mlp["down"]["kernel"]
    return steps, rms_norm(hs, p["norm"]["scale"]) @ p["head"]["kernel"] + p["head"]["bias"]
