"""memax: the cells of its Equinox models, by the names of its repository at 53d9424 (June 2026).

Its ``set_actions`` and ``semigroups`` keep their arrays behind a wrapper for resets, so the names begin with
``algebra.algebra``. Release 0.1.1 computes some cells differently (its LSTM reads c without the tanh).
"""

from __future__ import annotations

from collections.abc import Callable

from memcore.cell import Model
from memcore.convert.sources import Table, refuse, source
from memcore.convert.weights import (
    Take,
    Weights,
    beside,
    identity,
    interleaved,
    minus,
    same,
    turned,
    zeros,
)
from memcore.models.dense.spherical import Spherical
from memcore.models.diagonal.ffm import FFM
from memcore.models.diagonal.linear_rnn import LinearRNN
from memcore.models.diagonal.lru import LRU
from memcore.models.gated.elman import Elman
from memcore.models.gated.gru import GRU
from memcore.models.gated.ind_rnn import IndRNN
from memcore.models.gated.lstm import LSTM
from memcore.models.gated.mgu import MGU
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


@source("memax.GRU")
def gru(w: Weights) -> tuple[Model, Table]:
    """Its update gate writes the new state, memcore's keeps the old one: the other sign."""

    def gates(room: str, take: Callable[[str], Take], leaf: str) -> Take:
        r, z, h = (take(f"{INNER}.{room}_{gate}.{leaf}") for gate in "rzh")
        return beside(r, minus(z), h)

    size, width = w.shape(f"{INNER}.W_h.weight")
    return GRU(width, size, reset="before"), {
        "input/kernel": gates("W", turned, "weight"),
        "input/bias": gates("W", same, "bias"),
        "hidden/kernel": gates("U", turned, "weight"),
    }


@source("memax.MGU")
def mgu(w: Weights) -> tuple[Model, Table]:
    size, width = w.shape(f"{INNER}.W_h.weight")
    return MGU(width, size), {
        "input/kernel": beside(*(turned(f"{INNER}.W_{gate}.weight") for gate in "fh")),
        "input/bias": beside(*(same(f"{INNER}.W_{gate}.bias") for gate in "fh")),
        "hidden/kernel": beside(*(turned(f"{INNER}.U_{gate}.weight") for gate in "fh")),
    }


@source("memax.Elman", told={"activation": f"{INNER}.activation"})
def elman(w: Weights, *, activation: str = "tanh") -> tuple[Model, Table]:
    size, width = w.shape("W_h.weight")
    return Elman(width, size, activation=activation), {
        "input/kernel": turned("W_h.weight"),
        "input/bias": same(f"{INNER}.U_h.bias"),
        "hidden/kernel": turned(f"{INNER}.U_h.weight"),
    }


@source(
    "memax.IndRNN",
    fixed={
        f"{INNER}.activation": "relu",
        f"{INNER}.recurrent_min_abs": 0.0,
        f"{INNER}.recurrent_max_abs": 2 ** (1 / 1024),
    },
)
def ind_rnn(w: Weights) -> tuple[Model, Table]:
    """It has no projection in; its bound is that of 1024 steps, its default."""
    [size] = w.shape(f"{INNER}.bias", 1)
    return IndRNN(size, size), {
        "input/kernel": identity(size),
        "input/bias": same(f"{INNER}.bias"),
        "u": same(f"{INNER}.recurrent_kernel"),
    }


@source("memax.LinearRecurrent", told={"in_features": "recurrent_size"})
def linear_recurrent(w: Weights, *, in_features: int) -> tuple[Model, Table]:
    """A running sum, without parameters."""
    return LinearRNN(in_features, in_features, gates=False), {
        "impulse/kernel": identity(in_features),
        "impulse/bias": zeros(in_features),
    }


@source("memax.FFM")
def ffm(w: Weights) -> tuple[Model, Table]:
    traces, width = w.shape("pre.weight")
    names = {"pre": "pre", "gate_in.linear": "input_gate", "gate_out.linear": "output_gate"}
    names["mix"] = "mix"
    [contexts] = w.shape(f"{INNER}.params_1", 1)
    return FFM(width, traces, contexts), {
        **{f"{ours}/kernel": turned(f"{theirs}.weight") for theirs, ours in names.items()},
        **{f"{ours}/bias": same(f"{theirs}.bias") for theirs, ours in names.items()},
        "skip/kernel": identity(width),
        "skip/bias": zeros(width),
        "alpha": same(f"{INNER}.params_0"),
        "omega": same(f"{INNER}.params_1"),
    }


def _sphere(w: Weights, project: str, initial: str, product: bool) -> tuple[Model, Table]:
    width, [size] = w.shape(f"{project}.weight")[1], w.shape(initial, 1)
    return Spherical(width, size, product), {
        "angles/kernel": turned(f"{project}.weight"),
        "angles/bias": same(f"{project}.bias"),
        "initial": same(initial),
    }


@source("memax.Spherical")
def spherical(w: Weights) -> tuple[Model, Table]:
    return _sphere(w, f"{INNER}.project", f"{INNER}.initial_state", False)


@source("memax.PSpherical")
def p_spherical(w: Weights) -> tuple[Model, Table]:
    return _sphere(w, "project", "initial_vector", True)


@source("memax.NMax")
def n_max(w: Weights) -> tuple[Model, Table]:
    """Its gate g takes no part in what it computes."""
    w.ignore("g.layers_0.weight", "g.layers_0.bias")
    model, decay = NMax(*w.shape(f"{INNER}.decay", 1)), w[f"{INNER}.decay"]
    if (decay < 0).any():
        raise ValueError(
            f"weights['{INNER}.decay'] has {decay.min()}, expected numbers of at least 0: a decay below 0 "
            "turns the sign of what memax.NMax keeps, and not of what NMax does"
        )
    return model, {"decay": same(f"{INNER}.decay")}


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
