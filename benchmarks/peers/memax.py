"""memcore against memax 0.1.1, layer against layer.

Where memax computes something else than the paper, the time alone is compared, and the note says what.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from harness import Pair
from memax.equinox.semigroups.attn import Attention
from memax.equinox.semigroups.delta import DeltaNet
from memax.equinox.semigroups.deltap import DeltaProduct
from memax.equinox.semigroups.dlse import DLSE
from memax.equinox.semigroups.fart import FART
from memax.equinox.semigroups.ffm import FFM
from memax.equinox.semigroups.fwp import FWP
from memax.equinox.semigroups.gdn import GDN
from memax.equinox.semigroups.lrnn import LinearRecurrent
from memax.equinox.semigroups.lru import LRU
from memax.equinox.semigroups.nmax import NMax
from memax.equinox.semigroups.s6 import S6
from memax.equinox.semigroups.spherical import PSpherical
from memax.equinox.semigroups.stack import Stack
from memax.equinox.set_actions.elman import Elman
from memax.equinox.set_actions.gru import GRU
from memax.equinox.set_actions.lstm import LSTM
from memax.equinox.set_actions.mgu import MGU
from memax.equinox.set_actions.spherical import Spherical
from sizes import Sizes

import memcore
from memcore import nn
from memcore.convert import from_weights
from peers import problems

PACKAGES = ("memax", "equinox")
FRAMES = 4


def pairs(n: Sizes) -> dict[str, Callable[[], Pair]]:
    starts, x, key = problems.starts(n), problems.features(n), jax.random.key(5)

    def theirs(module: Any) -> tuple[Callable[..., Any], Any]:
        """The layer as a function of its arrays and the input, and those arrays."""
        arrays, static = eqx.partition(module, eqx.is_inexact_array)

        def run(arrays: Any, x: Any) -> Any:
            layer = eqx.combine(arrays, static)
            return jax.vmap(lambda x, s: layer(layer.initialize_carry(), (x, s))[1])(x, starts)

        return run, arrays

    def ours(model: Any) -> Callable[..., Any]:
        return lambda params, x: model.apply(params, x, starts=starts)[1]

    def time_only(name: str, module: Any, ours: Any, params: Any, note: str, x: Any = x) -> Pair:
        run, arrays = theirs(module)
        return Pair(name, ours, run, (params, x), (arrays, x), same=False, note=note)

    def attention() -> Pair:
        run, arrays = theirs(Attention(n.width, n.window, None, key))

        def fused(w: Any, x: Any) -> Any:
            q, k, v = x @ w.Q.weight.T, x @ w.K.weight.T, x @ w.V.weight.T + w.V.bias
            heads = (u[..., None, :] for u in (q, k, v))
            return memcore.ops.window_attention(*heads, n.window, starts=starts)[1][..., 0, :]

        return Pair("Attention", fused, run, (arrays, x))

    def linear_attention() -> Pair:
        model = memcore.LinearAttention(n.width, heads=1, key_size=n.size, value_size=n.size)
        note = "time only: its denominator sees the current key alone"
        module = FART(n.width, n.size, key)
        return time_only("FART (linear attention)", module, ours(model), model.init(key), note)

    def gated_delta_rule() -> Pair:
        module = GDN(n.width, n.size, key)
        run, arrays = theirs(module)

        def fused(w: Any, x: Any) -> Any:
            def head(layer: Any) -> Any:
                return (x @ layer.weight.T)[..., None, :]

            q, k = (nn.l2_normalise(jax.nn.silu(head(layer))) for layer in (w.Q, w.K))
            beta = 2 * jax.nn.sigmoid(x @ w.w.weight.T + w.w.bias)
            log_decay = jax.nn.log_sigmoid(x @ w.alpha.weight.T + w.alpha.bias)
            out = memcore.ops.delta_rule(q, k, head(w.V), beta, log_decay, starts=starts)[1]
            return out[..., 0, :] @ w.output.weight.T + w.output.bias

        note = "time only: its transition acts on the values' side"
        return Pair("GDN (gated delta rule)", fused, run, (arrays, x), same=False, note=note)

    def lru() -> Pair:
        module = LRU(n.width, n.width, key)
        run, arrays = theirs(module)
        params = {name: getattr(module, name) for name in ("nu_log", "theta_log", "gamma_log")}
        params |= {
            name.lower(): getattr(module, name).T for name in ("B_re", "B_im", "C_re", "C_im")
        }
        params["d"] = module.D
        model = memcore.LRU(n.width, state_size=n.width)
        return Pair("LRU", ours(model), run, (params, x), (arrays, x))

    def gru() -> Pair:
        model = memcore.GRU(n.width, hidden_size=n.width)
        note = "time only: its reset gate acts before the recurrent matrix"
        return time_only("GRU", GRU(n.width, key), ours(model), model.init(key), note)

    def lstm() -> Pair:
        model = memcore.LSTM(n.width, hidden_size=n.width)
        note = "time only: it reads the cell state without its tanh"
        return time_only("LSTM", LSTM(n.width, key), ours(model), model.init(key), note)

    def converted(name: str, module: Any) -> Callable[[], Pair]:
        """The layer's weights in the model that `from_weights` makes of them."""

        def pair() -> Pair:
            run, arrays = theirs(module)
            model, params = from_weights(f"memax.{name}", module)
            params = jax.tree.map(jax.numpy.asarray, params)
            return Pair(name, ours(model), run, (params, x), (arrays, x))

        pair.__name__ = name
        return pair

    def projected(name: str, module: Any, out: str, x: Any = x) -> Callable[[], Pair]:
        """The same for a layer with a projection out, which stands behind the model that it becomes."""

        def pair() -> Pair:
            run, arrays = theirs(module)
            leaves = jax.tree_util.tree_leaves_with_path(arrays)
            weights = {".".join(key.name for key in path): leaf for path, leaf in leaves}
            last = {key: weights.pop(f"{out}.{key}") for key in ("weight", "bias")}
            model, params = from_weights(f"memax.{name}", weights)
            params = jax.tree.map(jax.numpy.asarray, params), last

            def mine(params: Any, x: Any) -> Any:
                params, last = params
                return ours(model)(params, x) @ last["weight"].T + last["bias"]

            return Pair(name, mine, run, (params, x), (arrays, x))

        pair.__name__ = name
        return pair

    def linear_recurrent() -> Pair:
        """A running sum of the inputs, with a layer behind it: a model of ours has a layer before it too."""
        module = LinearRecurrent(n.width, key)
        run, arrays = theirs(module)
        last, _ = module.project.layers
        params = {"kernel": last.weight.T, "bias": last.bias}

        def mine(params: Any, x: Any) -> Any:
            sums = memcore.ops.linear_recurrence(jax.numpy.ones(n.width), x, starts=starts)[1]
            return jax.nn.leaky_relu(nn.linear(params, sums))

        return Pair("LinearRecurrent", mine, run, (params, x), (arrays, x))

    def stack() -> Pair:
        """The window of inputs, with a layer behind it."""
        module = Stack(n.width, FRAMES, key)
        run, arrays = theirs(module)
        model = memcore.FrameStack(n.width, FRAMES)
        params = {"kernel": module.g.weight.T, "bias": module.g.bias}

        def mine(params: Any, x: Any) -> Any:
            return nn.linear(params, ours(model)({}, x))

        return Pair("Stack", mine, run, (params, x), (arrays, x))

    def other(name: str, module: Any, model: Any, note: str, x: Any = x) -> Callable[[], Pair]:
        def pair() -> Pair:
            params, said = model.init(key), f"time only: {note}"
            return time_only(name, module, ours(model), params, said, x)

        pair.__name__ = name
        return pair

    side, d, k = "its transition acts on the values' side", n.width, n.size
    heads: dict[str, Any] = {"heads": 1, "key_size": k, "value_size": k}
    builders = (
        attention,
        linear_attention,
        gated_delta_rule,
        lru,
        gru,
        lstm,
        converted("MGU", MGU(d, key)),
        projected("Elman", Elman(d, d, key=key), "W_y"),
        projected("PSpherical", PSpherical(8, d, key), "output"),
        projected("Spherical", Spherical(8, d, key), "W_y", x[..., :8]),
        converted("FFM", FFM(d, 32, 4, key=key)),
        converted("NMax", NMax(d, key)),
        linear_recurrent,
        stack,
        other(
            f"DLSE, {k} features",
            DLSE(k, key),
            memcore.DLSE(k, heads=1),
            "it divides by the norm of the whole state, which is full at every step",
            x[..., :k],
        ),
        other("DeltaNet", DeltaNet(d, k, key), memcore.DeltaNet(d, **heads), side),
        other(
            "DeltaProduct",
            DeltaProduct(d, k, 2, key),
            memcore.DeltaProduct(d, **heads),
            "its transition is an elementwise product",
        ),
        other(
            "FWP",
            FWP(d, k, key),
            memcore.FastWeightProgrammer(d, **heads),
            "it contracts the values",
        ),
        other(
            "S6, one state per channel",
            S6(d, d, key),
            memcore.S6(d, state_size=1, rank=d),
            "its B and C scale every channel by itself",
        ),
    )
    return {build.__name__: build for build in builders}
