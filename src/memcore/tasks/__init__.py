"""Data sets and generators, one uniform batch format, and batches through grain.

A batch is a dict of NumPy arrays, whatever the task (B rows of T steps):

- `xs` (B, T, in_features) float32, or (B, T) int32 where `task.tokens` is true
- `starts` (B, T) bool: an episode begins at this step
- `targets` (B, T) int32: the class asked for at each step; (B, T, out_features) float32: the
  numbers asked for, where `task.loss` is "mse" or "pose"
- `weights` (B, T) float32: how much the step counts in loss and metric; zero where nothing is asked
- `bytes` (B, T) float32, of a text alone: how many bytes the target stands for

Importing this package loads NumPy only; grain and scikit-learn load when they are needed.
"""

from memcore.tasks.algorithms.arithmetic import ModularArithmetic
from memcore.tasks.algorithms.groups import A5, S5
from memcore.tasks.algorithms.list_ops import ListOps
from memcore.tasks.algorithms.parity import NParity, NParityHeads, Parity
from memcore.tasks.base.batches import Batch, batches, epoch
from memcore.tasks.base.generated import Generated
from memcore.tasks.base.packing import Packed
from memcore.tasks.base.registry import make, register, task_class, tasks, to_config
from memcore.tasks.base.task import SPLITS, Example, Source, Split, Task, TaskDefaults
from memcore.tasks.images.digits import Digits
from memcore.tasks.images.mnist_list_ops import MNISTListOps
from memcore.tasks.images.mnist_math import MNISTMath
from memcore.tasks.images.smnist import SMNIST
from memcore.tasks.own.array_task import ArrayFile, ArrayTask
from memcore.tasks.own.csv_task import CSV
from memcore.tasks.own.hugging_face import HuggingFace
from memcore.tasks.recall.copying import Copy, DelayedCopy, SelectiveCopy
from memcore.tasks.recall.key_value import MQAR, InductionHeads
from memcore.tasks.recall.last_bits import curriculum
from memcore.tasks.recall.ndms import NDMS, NDMSHeads
from memcore.tasks.recall.needle import Needle
from memcore.tasks.recall.repeat_first import RepeatFirst
from memcore.tasks.recall.repeat_previous import RepeatPrevious
from memcore.tasks.signals.chaos import Lorenz63, MackeyGlass
from memcore.tasks.signals.localization import Localization
from memcore.tasks.text.text import Text

__all__ = [
    "A5",
    "CSV",
    "MQAR",
    "NDMS",
    "S5",
    "SMNIST",
    "SPLITS",
    "ArrayFile",
    "ArrayTask",
    "Batch",
    "Copy",
    "DelayedCopy",
    "Digits",
    "Example",
    "Generated",
    "HuggingFace",
    "InductionHeads",
    "ListOps",
    "Localization",
    "Lorenz63",
    "MNISTListOps",
    "MNISTMath",
    "MackeyGlass",
    "ModularArithmetic",
    "NDMSHeads",
    "NParity",
    "NParityHeads",
    "Needle",
    "Packed",
    "Parity",
    "RepeatFirst",
    "RepeatPrevious",
    "SelectiveCopy",
    "Source",
    "Split",
    "Task",
    "TaskDefaults",
    "Text",
    "batches",
    "curriculum",
    "epoch",
    "make",
    "register",
    "task_class",
    "tasks",
    "to_config",
]
