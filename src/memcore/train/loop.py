"""The loop: one for all tasks, models and frameworks."""

import time
from pathlib import Path

from rich.console import Console

from memcore.tasks import batches
from memcore.train.checkpoints import Checkpoints
from memcore.train.config import Config
from memcore.train.evaluation import evaluate
from memcore.train.finish import finish
from memcore.train.folder import RunFolder
from memcore.train.interrupt import Interrupts
from memcore.train.learners import new_learner
from memcore.train.metrics import Metrics
from memcore.train.progress import Display
from memcore.train.report import Summary, table


def run(config: Config, out: str | Path, console: Console | None = None) -> Summary | None:
    """Train as configured, in the folder `out`; a run begun there goes on where it was.

    Returns the summary, or None where Ctrl-C or SIGTERM ended the run early; calling again then
    goes on, and ends as if nothing had happened. Raises as `Training` does.
    """
    return Training(config, out, console).run()


class Training:
    """A run about to start, or to go on.

    Raises FileExistsError where `out` holds another run, ValueError or FileNotFoundError where
    the task's data is not as it should be, ImportError naming the extra of a missing framework.
    """

    def __init__(self, config: Config, out: str | Path, console: Console | None = None) -> None:
        self.config, self.console = config, console or Console()
        self.data = batches(config.task, batch_size=config.batch_size, seed=config.seed)
        self.learner = new_learner(config)
        self.folder = RunFolder(Path(out))
        self.folder.claim(config)

    def run(self) -> Summary | None:
        """Train to the end or to an interruption; see `memcore.train.run`."""
        if self.folder.results.exists():
            summary: Summary | None = Summary.read(self.folder.results)
            self._say(f"{self.folder.path} holds this run, finished; to train again, remove it")
        else:
            summary = self._train()
        if summary is not None:
            self.console.print(table(summary))
            self._say(f"model, metrics and curves: {self.folder.path}")
        return summary

    def _train(self) -> Summary | None:
        checkpoints, metrics = Checkpoints(self.folder.checkpoints), Metrics(self.folder.metrics)
        step, seconds = checkpoints.restore(self.learner, self.data)
        metrics.rewind(step)
        if step:
            self._say(f"resuming {self.folder.path} after step {step}")
        began = time.monotonic() - seconds
        display = Display(self.console, self.config.steps, step)
        with Interrupts() as interrupts, display:
            stop = False
            while step < self.config.steps and not stop:
                step += 1
                metrics.train(step, self.learner.step(next(self.data)))
                self._look(step, metrics, display)
                stop = interrupts.seen
                if self._due(step, self.config.checkpoint_every) or stop:
                    metrics.flush()
                    checkpoints.save(step, self.learner, self.data, time.monotonic() - began)
        checkpoints.close()
        if step < self.config.steps:
            again = f"memcore train --resume {self.folder.path}"
            self._say(f"interrupted after step {step}; to go on: {again}")
            return None
        return finish(self.config, self.learner, self.folder, time.monotonic() - began)

    def _look(self, step: int, metrics: Metrics, display: Display) -> None:
        """Check on the validation split when it is time; show the training loss now and then."""
        if self._due(step, self.config.validate_every):
            values = evaluate(self.learner, self.config.task, "validation", self.config.batch_size)
            metrics.check(step, "validation", values)
            display.check(step, values)
        if display.stale():
            display.train(step, metrics.flush())

    def _due(self, step: int, every: int) -> bool:
        return step % every == 0 or step == self.config.steps

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
