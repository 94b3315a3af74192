"""torch.nn: recurrent networks of any depth, in one direction or both, and their cells."""

from __future__ import annotations

from collections.abc import Callable

from memcore.cell import Model
from memcore.compose.bidirectional import Bidirectional
from memcore.compose.stack import Stack
from memcore.convert.sources import Table, source
from memcore.convert.weights import Weights, bias, turned
from memcore.models.gated.elman import Elman
from memcore.models.gated.gru import GRU
from memcore.models.gated.lstm import LSTM

Make = Callable[[int, int], Model]
"""``(in_features, hidden_size)`` to the model."""
Convert = Callable[[Weights, Make, str], tuple[Model, Table]]
"""Of one layer in one direction, by the end of its weights' names."""


def cell(w: Weights, make: Make, suffix: str = "") -> tuple[Model, Table]:
    """One layer in one direction: torch's gates stand in memcore's order."""
    rows, width = w.shape(f"weight_ih{suffix}")
    table = {
        "input/kernel": turned(f"weight_ih{suffix}"),
        "input/bias": bias(w, f"bias_ih{suffix}", rows),
        "hidden/kernel": turned(f"weight_hh{suffix}"),
        "hidden/bias": bias(w, f"bias_hh{suffix}", rows),
    }
    return make(width, w.shape(f"weight_hh{suffix}")[1]), table


def elman_cell(w: Weights, make: Make, suffix: str = "") -> tuple[Model, Table]:
    """As `cell`, for a model whose two biases are one."""
    model, table = cell(w, make, suffix)
    ours, theirs = table["input/bias"], table.pop("hidden/bias")
    return model, {**table, "input/bias": lambda w: ours(w) + theirs(w)}


def layer(w: Weights, make: Make, number: int, convert: Convert) -> tuple[Model, Table]:
    """One layer, in both directions where there are weights for the other one."""
    model, ahead = convert(w, make, f"_l{number}")
    if f"weight_ih_l{number}_reverse" not in w:
        return model, ahead
    behind = convert(w, make, f"_l{number}_reverse")[1]
    table = {f"forward/{path}": take for path, take in ahead.items()}
    return Bidirectional(model), table | {f"backward/{path}": take for path, take in behind.items()}


def network(w: Weights, make: Make, convert: Convert = cell) -> tuple[Model, Table]:
    """All layers, as a `Stack` where there are several."""
    count = sum(name.startswith("weight_ih_l") and name[11:].isdigit() for name in w)
    layers = [layer(w, make, number, convert) for number in range(max(count, 1))]
    if len(layers) == 1:
        return layers[0]
    tables = enumerate(table for _, table in layers)
    table = {f"layer_{i}/{path}": take for i, part in tables for path, take in part.items()}
    return Stack(tuple(model for model, _ in layers)), table


@source("torch.nn.GRU")
def gru(w: Weights) -> tuple[Model, Table]:
    return network(w, GRU)


@source("torch.nn.LSTM")
def lstm(w: Weights) -> tuple[Model, Table]:
    return network(w, LSTM)


@source("torch.nn.GRUCell")
def gru_cell(w: Weights) -> tuple[Model, Table]:
    return cell(w, GRU)


@source("torch.nn.LSTMCell")
def lstm_cell(w: Weights) -> tuple[Model, Table]:
    return cell(w, LSTM)


@source("torch.nn.RNN", told={"nonlinearity": "nonlinearity"})
def rnn(w: Weights, *, nonlinearity: str = "tanh") -> tuple[Model, Table]:
    return network(w, lambda width, size: Elman(width, size, activation=nonlinearity), elman_cell)


@source("torch.nn.RNNCell", told={"nonlinearity": "nonlinearity"})
def rnn_cell(w: Weights, *, nonlinearity: str = "tanh") -> tuple[Model, Table]:
    return elman_cell(w, lambda width, size: Elman(width, size, activation=nonlinearity))
