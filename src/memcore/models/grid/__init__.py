"""Memories of segments, which stand on a grid."""

from memcore.models.grid.titans_mac import TitansMAC as TitansMAC
