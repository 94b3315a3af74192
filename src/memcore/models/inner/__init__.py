"""Memories that are trained while they read."""

from memcore.models.inner.atlas import Atlas as Atlas
from memcore.models.inner.lact import LaCT as LaCT
from memcore.models.inner.memora import Memora as Memora
from memcore.models.inner.moneta import Moneta as Moneta
from memcore.models.inner.neural_memory import NeuralMemory as NeuralMemory
from memcore.models.inner.omega_net import OmegaNet as OmegaNet
from memcore.models.inner.ttt_linear import TTTLinear as TTTLinear
from memcore.models.inner.ttt_mlp import TTTMLP as TTTMLP
from memcore.models.inner.yaad import Yaad as Yaad
