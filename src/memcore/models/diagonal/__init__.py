"""Linear recurrences, each channel by itself."""

from memcore.models.diagonal.lru import LRU as LRU
