"""Gated cells: parameters meet the state at every step."""

from memcore.models.gated.elman import Elman as Elman
from memcore.models.gated.gru import GRU as GRU
from memcore.models.gated.ind_rnn import IndRNN as IndRNN
from memcore.models.gated.lstm import LSTM as LSTM
from memcore.models.gated.mgu import MGU as MGU
from memcore.models.gated.rtu import RTU as RTU
from memcore.models.gated.slstm import SLSTM as SLSTM
from memcore.models.gated.slstm_layer import SLSTMLayer as SLSTMLayer
