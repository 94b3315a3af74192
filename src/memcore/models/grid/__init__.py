"""Models that work on a grid of segments."""

from memcore.models.grid.rmt import RMT as RMT
from memcore.models.grid.titans_mac import TitansMAC as TitansMAC
from memcore.models.grid.titans_mag import TitansMAG as TitansMAG
from memcore.models.grid.titans_mal import TitansMAL as TitansMAL
