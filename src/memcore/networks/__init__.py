"""Composites: models made of models and rules."""

from memcore.networks.gated_delta_net import GatedDeltaNet as GatedDeltaNet
from memcore.networks.residual_stack import ResidualStack as ResidualStack

__all__ = ["GatedDeltaNet", "ResidualStack"]
