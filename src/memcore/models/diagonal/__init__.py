"""Linear recurrences, each channel by itself."""

from memcore.models.diagonal.ffm import FFM as FFM
from memcore.models.diagonal.linear_rnn import LinearRNN as LinearRNN
from memcore.models.diagonal.lru import LRU as LRU
from memcore.models.diagonal.mamba import Mamba as Mamba
from memcore.models.diagonal.min_gru import MinGRU as MinGRU
from memcore.models.diagonal.min_lstm import MinLSTM as MinLSTM
from memcore.models.diagonal.s5 import S5 as S5
from memcore.models.diagonal.s6 import S6 as S6
