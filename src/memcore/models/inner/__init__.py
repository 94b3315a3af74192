"""Memories that are trained while they read."""

from memcore.models.inner.neural_memory import NeuralMemory as NeuralMemory
from memcore.models.inner.ttt_linear import TTTLinear as TTTLinear
from memcore.models.inner.ttt_mlp import TTTMLP as TTTMLP
