"""Recurrent and memory sequence models: one definition, every execution mode, resets everywhere."""

from memcore import networks as networks
from memcore import nn as nn
from memcore import ops as ops
from memcore import testing as testing
from memcore.auto import explain as explain
from memcore.backend import Draw as Draw
from memcore.backend import as_draw as as_draw
from memcore.call import Call as Call
from memcore.call import initial_state as initial_state
from memcore.cell import Cell as Cell
from memcore.cell import GatedCell as GatedCell
from memcore.cell import Memoroid as Memoroid
from memcore.cell import Model as Model
from memcore.cells import GRU as GRU
from memcore.cells import LRU as LRU
from memcore.cells import LSTM as LSTM
from memcore.cells import Attention as Attention
from memcore.cells import LinearAttention as LinearAttention
from memcore.checkpoint import load as load
from memcore.checkpoint import save as save
from memcore.engine import scan as scan
from memcore.engine import step as step
from memcore.networks import GatedDeltaNet as GatedDeltaNet
from memcore.networks import ResidualStack as ResidualStack
from memcore.registry import from_config as from_config
from memcore.registry import register as register
from memcore.registry import registry as registry
from memcore.registry import to_config as to_config
from memcore.resets import starts_from_cu_seqlens as starts_from_cu_seqlens
from memcore.resets import starts_from_dones as starts_from_dones
from memcore.resets import starts_from_lengths as starts_from_lengths
from memcore.resets import starts_from_segment_ids as starts_from_segment_ids

__version__ = "0.1.0"

__all__ = [
    "GRU",
    "LRU",
    "LSTM",
    "Attention",
    "Call",
    "Cell",
    "Draw",
    "GatedDeltaNet",
    "LinearAttention",
    "GatedCell",
    "Memoroid",
    "Model",
    "ResidualStack",
    "as_draw",
    "explain",
    "from_config",
    "initial_state",
    "load",
    "networks",
    "nn",
    "ops",
    "register",
    "registry",
    "save",
    "scan",
    "starts_from_cu_seqlens",
    "starts_from_dones",
    "starts_from_lengths",
    "starts_from_segment_ids",
    "step",
    "testing",
    "to_config",
]
