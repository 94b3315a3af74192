"""Memories of other sums: the largest, and the logarithm of a sum of exponentials."""

from memcore.models.semiring.dlse import DLSE as DLSE
from memcore.models.semiring.n_max import NMax as NMax
