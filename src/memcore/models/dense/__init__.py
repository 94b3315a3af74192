"""Recurrences with full transition matrices."""

from memcore.models.dense.rot_rnn import RotRNN as RotRNN
from memcore.models.dense.spherical import Spherical as Spherical
