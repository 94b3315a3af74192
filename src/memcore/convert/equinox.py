"""equinox.nn: its recurrent cells."""

from __future__ import annotations

from memcore.cell import Model
from memcore.convert.sources import Table, source
from memcore.convert.weights import Weights, beside, bias, turned, zeros
from memcore.models.gated.gru import GRU
from memcore.models.gated.lstm import LSTM


@source("equinox.nn.GRUCell")
def gru_cell(w: Weights) -> tuple[Model, Table]:
    (rows, width), (_, size) = w.shape("weight_ih"), w.shape("weight_hh")
    return GRU(width, size), {
        "input/kernel": turned("weight_ih"),
        "input/bias": bias(w, "bias", rows),
        "hidden/kernel": turned("weight_hh"),
        "hidden/bias": beside(zeros(size), zeros(size), bias(w, "bias_n", size)),
    }


@source("equinox.nn.LSTMCell")
def lstm_cell(w: Weights) -> tuple[Model, Table]:
    (rows, width), (_, size) = w.shape("weight_ih"), w.shape("weight_hh")
    return LSTM(width, size), {
        "input/kernel": turned("weight_ih"),
        "input/bias": bias(w, "bias", rows),
        "hidden/kernel": turned("weight_hh"),
        "hidden/bias": zeros(rows),
    }
