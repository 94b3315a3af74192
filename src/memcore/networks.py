"""The former name of `memcore.compose`, kept for code that uses it."""

from memcore.compose import *
from memcore.models.matrix.gated_delta_net import GatedDeltaNet as GatedDeltaNet
