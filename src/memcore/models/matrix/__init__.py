"""Memories that are matrices of keys and values."""

from memcore.models.matrix.delta_net import DeltaNet as DeltaNet
from memcore.models.matrix.delta_product import DeltaProduct as DeltaProduct
from memcore.models.matrix.fast_weight_programmer import (
    FastWeightProgrammer as FastWeightProgrammer,
)
from memcore.models.matrix.gated_delta_net import GatedDeltaNet as GatedDeltaNet
from memcore.models.matrix.linear_attention import LinearAttention as LinearAttention
from memcore.models.matrix.mlstm import MLSTM as MLSTM
from memcore.models.matrix.shm import SHM as SHM
