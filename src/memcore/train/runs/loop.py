"""The loop: one for all tasks, models and frameworks."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from memcore.tasks import Batch, batches
from memcore.tasks.base.streams import Segments, look
from memcore.train.learners import Learner, average, new_learner
from memcore.train.objective.config import Config
from memcore.train.objective.optimizer import rates
from memcore.train.runs.checkpoints import Checkpoints, Reached
from memcore.train.runs.console import new_console
from memcore.train.runs.evaluation import evaluate
from memcore.train.runs.finish import finish
from memcore.train.runs.folder import RunFolder
from memcore.train.runs.interrupt import Interrupts
from memcore.train.runs.metrics import Metrics
from memcore.train.runs.pace import Pace
from memcore.train.runs.progress import Display
from memcore.train.runs.report import Summary, introduce, show


def run(config: Config, out: str | Path, console: Console | None = None) -> Summary | None:
    """Train as configured, in the folder `out`; a run begun there goes on where it was.

    Returns the summary, or None where Ctrl-C or SIGTERM ended the run early; calling again then
    goes on, and ends as if nothing had happened. Raises as `Training` does.
    """
    return Training(config, out, console).run()


class Training:
    """A run about to start, or to go on.

    Raises FileExistsError where `out` holds another run, ValueError or FileNotFoundError where
    the task's data is not as it should be, ImportError naming the extra of a missing framework,
    BlockingIOError where another process trains in `out`.
    """

    def __init__(self, config: Config, out: str | Path, console: Console | None = None) -> None:
        self.config, self.console = config, console or new_console()
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
        self.rates = rates(config.optimizer, config.steps)
        self._average: Learner | None = None
        self._tokens = 0
        self.folder = RunFolder(Path(out))
        self.folder.claim(config)

    def run(self) -> Summary | None:
        """Train to the end or to an interruption; see `memcore.train.run`."""
        if self.folder.results.exists():
            summary: Summary | None = Summary.read(self.folder.results)
            self._say(f"{self.folder.path} holds this run, finished; to train again, remove it")
        else:
            with self.folder.held():
                summary = self._train()
        if summary is not None:
            show(self.console, summary)
            self._say(f"model, metrics and curves: {self.folder.path}")
        return summary

    def _train(self) -> Summary | None:
        config = self.config
        checkpoints = Checkpoints(self.folder.checkpoints, self._say)
        metrics = Metrics(self.folder.metrics, config.task.metric)
        reached = checkpoints.restore(self.learner, self.data)
        step = reached.step
        metrics.rewind(step)
        introduce(self.console, config, self.learner.params, self.folder.path)
        if step:
            self._say(f"resuming {self.folder.path} after step {step}")
        began, pace = time.monotonic() - reached.seconds, Pace(*reached.timed)
        how = (config.steps, step, config.task.metric, reached.seconds)
        display = Display(self.console, *how)
        stop, ended = 0, self._finished(step, metrics)
        with Interrupts() as interrupts, display:
            while not (stop or ended):
                asked = self._update(next(self.data), step + 1, metrics)
                if asked:
                    step += 1
                    pace.step()
                    self._look(step, metrics, display, pace)
                stop, ended = interrupts.seen, asked and self._finished(step, metrics)
                if stop or ended or (asked and step % config.checkpoint_every == 0):
                    metrics.flush()
                    pace.pause()
                    reached = Reached(step, time.monotonic() - began, pace.timed)
                    checkpoints.save(reached, self.learner, self.data)
        checkpoints.close()
        if not ended:
            again = f"memcore train --resume {self.folder.path}"
            self._say(f"interrupted after step {step}; to go on: {again}")
            self.interrupted = stop
            return None
        spent = time.monotonic() - began
        return finish(config, self._evaluated(), self.folder, step, spent, pace.mean)

    def _update(self, batch: Batch, step: int, metrics: Metrics) -> bool:
        """Step `step`, if something is asked in the batch; else the batch only carries the state on.

        So every step is an update of the parameters, for the learning rate as for everything else.
        """
        self._tokens += batch["weights"].size
        asked = bool(np.any(batch["weights"]))
        if asked:
            metrics.train(step, self.learner.step(batch))
        elif self.learner.carry is not None:
            self.learner.evaluate(batch)
        return asked

    def _finished(self, step: int, metrics: Metrics) -> bool:
        """Whether all steps are done, or the last checks found no lower loss."""
        if step == self.config.steps or not self.config.patience:
            return step == self.config.steps
        if not self._due(step):
            return False
        metrics.flush()
        checks = [line["loss"] for line in metrics.read() if line["split"] == "validation"]
        losses = [math.inf if math.isnan(loss) else loss for loss in checks]
        return len(losses) - losses.index(min(losses)) > self.config.patience if losses else False

    def _look(self, step: int, metrics: Metrics, display: Display, pace: Pace) -> None:
        """Check on the validation split when it is time; show the training loss now and then."""
        if self._due(step):
            display.train(step, metrics.flush(), self.rates[step - 1], self._tokens)
            pace.pause()
            config = self.config
            how = (config.batch_size, config.segment, config.evaluate_rows)
            values = evaluate(self._evaluated(), config.task, "validation", *how)
            metrics.check(step, "validation", values)
            display.check(step, values)
        if display.stale():
            display.train(step, metrics.flush(), self.rates[step - 1], self._tokens)

    def _evaluated(self) -> Learner:
        """The learner that is evaluated: this one, or one with its averaged parameters."""
        if not self.config.optimizer.average:
            return self.learner
        if self._average is None:
            self._average = new_learner(self.config)
        self._average.params = average(self.learner)
        return self._average

    def _due(self, step: int) -> bool:
        """Whether a check comes after this step."""
        return step % self.config.validate_every == 0 or step == self.config.steps

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
