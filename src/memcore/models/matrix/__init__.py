"""Memories that are matrices of keys and values."""

from memcore.models.matrix.gated_delta_net import GatedDeltaNet as GatedDeltaNet
from memcore.models.matrix.linear_attention import LinearAttention as LinearAttention
