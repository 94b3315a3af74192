"""Data sets and generators, one uniform batch format, and batches through grain.

A batch is a dict of NumPy arrays, whatever the task (B rows of T steps):

- `xs` (B, T, in_features) float32, or (B, T) int32 where `task.tokens` is true
- `starts` (B, T) bool: an episode begins at this step
- `targets` (B, T) int32: the class asked for at each step
- `weights` (B, T) float32: how much the step counts in loss and metric; zero where nothing is asked

Importing this package loads NumPy only; grain and scikit-learn load when they are needed.
"""

from memcore.tasks.base import SPLITS, Example, Source, Split, Task
from memcore.tasks.batches import Batch, batches, epoch
from memcore.tasks.digits import Digits
from memcore.tasks.registry import make, register, task_class, tasks
from memcore.tasks.repeat_first import RepeatFirst
from memcore.tasks.smnist import SMNIST

__all__ = [
    "SMNIST",
    "SPLITS",
    "Batch",
    "Digits",
    "Example",
    "RepeatFirst",
    "Source",
    "Split",
    "Task",
    "batches",
    "epoch",
    "make",
    "register",
    "task_class",
    "tasks",
]
