"""Linear recurrences, each channel by itself."""

from memcore.models.diagonal.lru import LRU as LRU
from memcore.models.diagonal.mamba import Mamba as Mamba
from memcore.models.diagonal.s6 import S6 as S6
