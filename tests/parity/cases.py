"""What the frameworks train on: tasks of every loss and kind of input, the models in rotation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import memcore
from memcore import tasks
from memcore.tasks.base.streams import Segments
from memcore.train import network

WIDTH, BATCH, STEPS = 12, 4, 3
TEXT = Path(__file__).parents[1] / "golden" / "README.md"  # any text will do


@dataclass(frozen=True)
class HingeNDMS(tasks.NDMS):
    """Match to sample by the one loss that no task of the library has."""

    loss: ClassVar[str] = "squared_hinge"


@dataclass(frozen=True)
class Case:
    """A model in one residual block, and a task; in segments of so many steps, or whole rows if 0."""

    model: memcore.Model
    task: tasks.Task
    segment: int = 0

    @property
    def network(self) -> memcore.ResidualStack:
        return network(self.task, self.model, layers=1)

    def batches(self) -> list[tasks.Batch]:
        """`STEPS` training batches, each of `BATCH` rows or of the next segment of such rows."""
        if self.segment:
            stream = Segments(self.task, "train", batch_size=BATCH, size=self.segment)
        else:
            stream = tasks.batches(self.task, batch_size=BATCH)
        return list(islice(stream, STEPS))


GRU = memcore.GRU(WIDTH, hidden_size=10)
LSTM = memcore.LSTM(WIDTH, hidden_size=10)
LRU = memcore.LRU(WIDTH, state_size=10)
LINEAR_ATTENTION = memcore.LinearAttention(WIDTH, heads=2, key_size=4)
GATED_DELTA_NET = memcore.GatedDeltaNet(WIDTH, heads=2, key_size=4)
ATTENTION = memcore.Attention(WIDTH, heads=2, window=6)

S6 = memcore.S6(WIDTH, state_size=4)
MAMBA = memcore.Mamba(WIDTH, state_size=3, expand=1)
TITANS = memcore.TitansMAG(WIDTH, heads=2, window=4, hidden_size=4, mini_batch=4)
TTT_LINEAR = memcore.TTTLinear(WIDTH, heads=2, mini_batch=4)

CASES: dict[str, Case] = {
    "digits": Case(GRU, tasks.Digits()),
    "repeat_first_packed": Case(
        GATED_DELTA_NET, tasks.make("repeat_first", length=8, episodes=2, pack=2)
    ),
    "parity": Case(LSTM, tasks.Parity(length=12)),
    "mqar": Case(ATTENTION, tasks.MQAR(length=16, pairs=2, vocabulary=12)),
    "localization": Case(LINEAR_ATTENTION, tasks.Localization(length=20)),
    "lorenz63": Case(LRU, tasks.Lorenz63(length=12)),
    "n_dms_heads": Case(GRU, tasks.NDMSHeads(length=12, n_max=4)),
    "n_dms_hinge": Case(LINEAR_ATTENTION, HingeNDMS(length=12, n=3)),
    # One image is a segment; nothing is asked in the second.
    "mnist_math_segments": Case(
        LRU, tasks.MNISTMath(count=5, images="digits", running=True), segment=64
    ),
    "parity_selective": Case(S6, tasks.Parity(length=12)),
    "parity_convolved": Case(MAMBA, tasks.Parity(length=12)),
    "parity_rotated": Case(memcore.Spherical(WIDTH, state_size=4), tasks.Parity(length=12)),
    "parity_log_sum_exp": Case(memcore.DLSE(WIDTH, heads=2), tasks.Parity(length=12)),
    "parity_gated_by_a_memory": Case(TITANS, tasks.Parity(length=12)),
    # Segments that end inside a mini-batch: the place in the grid is carried on.
    "text_on_a_grid": Case(TTT_LINEAR, tasks.Text(str(TEXT), length=24), segment=6),
    "text_segments": Case(GATED_DELTA_NET, tasks.Text(str(TEXT), length=24), segment=8),
}
