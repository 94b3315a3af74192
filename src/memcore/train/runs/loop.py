"""A run: one loop for all tasks, models and frameworks."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

import memcore
from memcore.tasks import batches
from memcore.tasks.base.streams import Segments, look
from memcore.train.devices.hosts import by_first, first
from memcore.train.devices.placement import ONE_DEVICE, Placement
from memcore.train.learners import new_learner
from memcore.train.objective.config import Config
from memcore.train.runs.console import new_console
from memcore.train.runs.files import read_json
from memcore.train.runs.folder import RunFolder, difference
from memcore.train.runs.loggers import Logger
from memcore.train.runs.report import Summary, show
from memcore.train.runs.sitting import Sitting
from memcore.types import Value


def run(
    config: Config,
    out: str | Path,
    console: Console | None = None,
    loggers: Sequence[Logger] = (),
    placement: Placement = ONE_DEVICE,
) -> Summary | None:
    """Train as configured, in the folder `out`; a run begun there goes on where it was.

    The `loggers` are told what `metrics.jsonl` is; `placement` says on which devices. Returns the summary,
    or None where Ctrl-C or SIGTERM
    ended the run early; calling again then goes on, and ends as if nothing had happened. Raises as
    `Training` does.
    """
    return Training(config, out, console, loggers, placement).run()


class Training:
    """A run about to start, or to go on.

    Raises FileExistsError where `out` holds another run, ValueError or FileNotFoundError where
    the task's data is not as it should be, or `placement` not for this task and model, ImportError naming
    the extra of a missing framework, BlockingIOError where another process trains in `out`.
    """

    def __init__(
        self,
        config: Config,
        out: str | Path,
        console: Console | None = None,
        loggers: Sequence[Logger] = (),
        placement: Placement = ONE_DEVICE,
    ) -> None:
        steps = config.segment or config.task.length
        placement.check(config.model, config.batch_size, steps)
        self.config, self.placement = config, placement
        self.console = (console or new_console()) if first() else Console(quiet=True)
        self.loggers = loggers if first() else ()
        self.interrupted = 0
        """The signal that ended the run early."""
        look(config.task, config.segment, config.evaluate_rows)
        how: dict[str, Any] = {
            "batch_size": config.batch_size,
            "seed": config.seed,
            "part": placement.share,
        }
        self.data: Value = (
            Segments(config.task, "train", size=config.segment, **how)
            if config.segment
            else batches(config.task, **how)
        )
        self.folder = RunFolder(Path(out))
        self.learner = new_learner(config, self._given(), placement)
        by_first(lambda: self.folder.claim(config))

    def run(self) -> Summary | None:
        """Train to the end or to an interruption; see `memcore.train.run`."""
        summary: Summary | None
        if by_first(self.folder.results.exists):
            summary = Summary.from_json(by_first(lambda: read_json(self.folder.results)))
            self.say(f"{self.folder.path} holds this run, finished; to train again, remove it")
        else:
            with self.folder.held() if first() else nullcontext():
                sitting = Sitting(self)
                summary = sitting.train()
            self.interrupted = sitting.stop
        if summary is not None:
            show(self.console, summary)
            self.say(f"model, metrics and curves: {self.folder.path}")
        return summary

    def _given(self) -> Value:
        """The parameters of another run, if this one begins with them; None where it has begun already.

        Raises FileNotFoundError where that run has no model, ValueError where it is of another shape.
        """
        if self.config.init is None or list(self.folder.checkpoints.glob("[0-9]*")):
            return None
        path = RunFolder(Path(self.config.init)).model
        if not path.exists():
            raise FileNotFoundError(
                f"init is {self.config.init}, expected a finished run: no {path.name}"
            )
        _, params = memcore.load(path)
        wanted = jax.eval_shape(self.config.model.init, jax.random.key(0))
        shapes = [jax.tree.map(lambda leaf: leaf.shape, tree) for tree in (params, wanted)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"init is {self.config.init}, expected a model of the same parameters: "
                f"{difference(*shapes)}"
            )
        return jax.tree.map(jax.numpy.asarray, params)

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
