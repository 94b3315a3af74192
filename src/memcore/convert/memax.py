"""memax: the cells of its Equinox models, by the names of its repository at 53d9424 (June 2026).

Its ``set_actions`` and ``semigroups`` keep their arrays behind a wrapper for resets, so the names begin with
``algebra.algebra``. Release 0.1.1 computes some cells differently (its LSTM reads c without the tanh).
"""

from __future__ import annotations

from memcore.cell import Model
from memcore.convert.sources import Table, refuse, source
from memcore.convert.weights import (
    Weights,
    beside,
    identity,
    interleaved,
    same,
    turned,
    zeros,
)
from memcore.models.diagonal.lru import LRU
from memcore.models.gated.lstm import LSTM
from memcore.models.semiring.n_max import NMax
from memcore.models.window.attention import Attention

INNER = "algebra.algebra"


@source("memax.LRU")
def lru(w: Weights) -> tuple[Model, Table]:
    size, width = w.shape("B_re")
    table = {f"{c.lower()}_{part}": turned(f"{c}_{part}") for c in "BC" for part in ("re", "im")}
    logs = {name: same(name) for name in ("nu_log", "theta_log", "gamma_log")}
    return LRU(width, size), {**table, **logs, "d": same("D")}


@source("memax.LSTM")
def lstm(w: Weights) -> tuple[Model, Table]:
    size, width = w.shape(f"{INNER}.W_i.weight")
    return LSTM(width, size), {
        "input/kernel": beside(*(turned(f"{INNER}.W_{gate}.weight") for gate in "ifco")),
        "input/bias": beside(*(same(f"{INNER}.W_{gate}.bias") for gate in "ifco")),
        "hidden/kernel": beside(*(turned(f"{INNER}.U_{gate}.weight") for gate in "ifco")),
        "hidden/bias": zeros(4 * size),
    }


@source("memax.NMax")
def n_max(w: Weights) -> tuple[Model, Table]:
    """Its gate g takes no part in what it computes."""
    w.ignore("g.layers_0.weight", "g.layers_0.bias")
    return NMax(*w.shape(f"{INNER}.decay", 1)), {"decay": same(f"{INNER}.decay")}


@source("memax.Attention", told={"window": "window_size", "position": "positional_embedding"})
def attention(w: Weights, *, window: int, position: str | None = None) -> tuple[Model, Table]:
    """One head, without a projection out; its rotary pairs stand side by side."""
    size, width = w.shape("Q.weight")
    model = Attention(width, 1, window, size, size, position, bias=True)
    query, key = turned("Q.weight"), turned("K.weight")
    if position == "rope":
        query, key = interleaved(query, 1), interleaved(key, 1)
    return model, {
        "query/kernel": query,
        "query/bias": zeros(size),
        "key/kernel": key,
        "key/bias": zeros(size),
        "value/kernel": turned("V.weight"),
        "value/bias": same("V.bias"),
        "output/kernel": identity(size),
        "output/bias": zeros(size),
    }


LEFT = (
    "it writes v k^T and lets the transition I - beta k k^T act on it from the left, on the values, where "
    "the delta rule has it on the side of the keys: a value that is written twice at one key is not replaced"
)
refuse(
    "memax.FART",
    "its denominator is phi(q_t) . phi(k_t), of the current key alone, not of their sum",
)
refuse("memax.FWP", "it reads S q of S = sum k v^T, which contracts the values, not the keys")
refuse("memax.DeltaNet", LEFT)
refuse("memax.GDN", LEFT)
refuse("memax.TTTLinear", LEFT)
refuse(
    "memax.DeltaProduct",
    "its transition is I minus the elementwise product of the beta k k^T, not a product of the "
    "I - beta k k^T, and all keys are normalised by one norm",
)
refuse(
    "memax.S6",
    "it has one state per channel, with a B and a C per channel, where S6 has N states per channel that "
    "share B and C over the channels",
)
