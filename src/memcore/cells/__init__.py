"""Cells: one file per model, each reads like its paper."""

from memcore.cells.attention import Attention as Attention
from memcore.cells.gru import GRU as GRU
from memcore.cells.linear_attention import LinearAttention as LinearAttention
from memcore.cells.lru import LRU as LRU
from memcore.cells.lstm import LSTM as LSTM

__all__ = ["GRU", "LRU", "LSTM", "Attention", "LinearAttention"]
