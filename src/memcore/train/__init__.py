"""Training on a task, in any framework, by one loop.

    task = tasks.Digits()
    config = Config(task=task, model=network(task, memcore.registry["gru"](64)))
    summary = run(config, "runs/digits")

The frameworks do the same computation from the same initial parameters; only what wraps it
differs. `memcore train` is the same from the command line. Needs the extra "train".

A name loads what it needs when it is first used: the help of the command line needs no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memcore.train.commands.stack import network
    from memcore.train.learners import Learner, make_learner, new_learner
    from memcore.train.objective.config import Config, Framework, OptimizerOptions
    from memcore.train.runs.evaluation import evaluate
    from memcore.train.runs.loggers import Logger, TensorBoard
    from memcore.train.runs.loop import Training, run
    from memcore.train.runs.report import Summary

_PLACES = {
    "Config": "objective.config",
    "Framework": "objective.config",
    "Learner": "learners",
    "Logger": "runs.loggers",
    "OptimizerOptions": "objective.config",
    "Summary": "runs.report",
    "TensorBoard": "runs.loggers",
    "Training": "runs.loop",
    "evaluate": "runs.evaluation",
    "make_learner": "learners",
    "new_learner": "learners",
    "network": "commands.stack",
    "run": "runs.loop",
}

__all__ = [
    "Config",
    "Framework",
    "Learner",
    "Logger",
    "OptimizerOptions",
    "Summary",
    "TensorBoard",
    "Training",
    "evaluate",
    "make_learner",
    "new_learner",
    "network",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
