"""Gated cells: parameters meet the state at every step."""

from memcore.models.gated.gru import GRU as GRU
from memcore.models.gated.lstm import LSTM as LSTM
