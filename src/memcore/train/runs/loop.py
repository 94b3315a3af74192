"""A run: one loop for all tasks, models and frameworks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from memcore.tasks import batches
from memcore.tasks.base.streams import Segments, look
from memcore.train.learners import new_learner
from memcore.train.objective.config import Config
from memcore.train.runs.console import new_console
from memcore.train.runs.folder import RunFolder
from memcore.train.runs.loggers import Logger
from memcore.train.runs.report import Summary, show
from memcore.train.runs.sitting import Sitting


def run(
    config: Config,
    out: str | Path,
    console: Console | None = None,
    loggers: Sequence[Logger] = (),
) -> Summary | None:
    """Train as configured, in the folder `out`; a run begun there goes on where it was.

    The `loggers` are told what `metrics.jsonl` is. Returns the summary, or None where Ctrl-C or SIGTERM
    ended the run early; calling again then goes on, and ends as if nothing had happened. Raises as
    `Training` does.
    """
    return Training(config, out, console, loggers).run()


class Training:
    """A run about to start, or to go on.

    Raises FileExistsError where `out` holds another run, ValueError or FileNotFoundError where
    the task's data is not as it should be, ImportError naming the extra of a missing framework,
    BlockingIOError where another process trains in `out`.
    """

    def __init__(
        self,
        config: Config,
        out: str | Path,
        console: Console | None = None,
        loggers: Sequence[Logger] = (),
    ) -> None:
        self.config, self.console, self.loggers = config, console or new_console(), loggers
        self.interrupted = 0
        """The signal that ended the run early."""
        look(config.task, config.segment, config.evaluate_rows)
        how: dict[str, Any] = {"batch_size": config.batch_size, "seed": config.seed}
        self.data: Any = (
            Segments(config.task, "train", size=config.segment, **how)
            if config.segment
            else batches(config.task, **how)
        )
        self.learner = new_learner(config)
        self.folder = RunFolder(Path(out))
        self.folder.claim(config)

    def run(self) -> Summary | None:
        """Train to the end or to an interruption; see `memcore.train.run`."""
        if self.folder.results.exists():
            summary: Summary | None = Summary.read(self.folder.results)
            self.say(f"{self.folder.path} holds this run, finished; to train again, remove it")
        else:
            with self.folder.held():
                sitting = Sitting(self)
                summary = sitting.train()
            self.interrupted = sitting.stop
        if summary is not None:
            show(self.console, summary)
            self.say(f"model, metrics and curves: {self.folder.path}")
        return summary

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
