"""One sitting of a run: from where it was to its end, or to an interruption."""

import functools
import math
import operator
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from memcore.train.devices.hosts import by_first, first, most
from memcore.train.learners import Learner, average, new_learner
from memcore.train.objective.config import Config
from memcore.train.objective.objective import Sums
from memcore.train.objective.optimizer import rates
from memcore.train.runs.checkpoints import Checkpoints, Reached
from memcore.train.runs.evaluation import evaluate
from memcore.train.runs.finish import finish
from memcore.train.runs.interrupt import Interrupts
from memcore.train.runs.metrics import Metrics
from memcore.train.runs.pace import Pace
from memcore.train.runs.progress import Display
from memcore.train.runs.report import Summary, introduce

if TYPE_CHECKING:
    from memcore.train.runs.loop import Training


class Sitting:
    """Begins where the newest checkpoint of a training's folder is; `stop` is the signal that ended it."""

    def __init__(self, training: "Training") -> None:
        self.training, self.config, self.learner = training, training.config, training.learner
        config, folder = self.config, training.folder
        self.checkpoints = Checkpoints(folder.checkpoints, training.say)
        reached = self.checkpoints.restore(self.learner, training.data)
        self.step, self.best, self.stop = reached.step, reached.best, 0
        self.rates = rates(config.optimizer, config.steps)
        # Only the first process keeps them.
        path = folder.metrics if first() else Path(os.devnull)
        self.metrics = Metrics(path, config.task.metric, self.rates, training.loggers)
        by_first(lambda: self.metrics.rewind(self.step))
        self.began, self.pace = time.monotonic() - reached.seconds, Pace(*reached.timed)
        how = (config.steps, self.step, config.task.metric, reached.seconds)
        self.display = Display(training.console, *how)
        self._tokens = 0
        self._average: Learner | None = None

    def train(self) -> Summary | None:
        """Train to the end, and test; None where a signal ended it before."""
        training, summary = self.training, None
        introduce(training.console, self.config, self.learner.params, training.folder.path)
        if self.step:
            training.say(f"resuming {training.folder.path} after step {self.step}")
        for logger in training.loggers:
            logger.start(self.config.to_json(), training.folder.path, self.step)
        try:
            if self._loop():
                summary = self._end()
            else:
                again = f"memcore train --resume {training.folder.path}"
                training.say(f"interrupted after step {self.step}; to go on: {again}")
        finally:
            self.checkpoints.close()
            for logger in training.loggers:
                logger.finish(None if summary is None else summary.to_json())
        return summary

    def _loop(self) -> bool:
        """All steps that are left; whether the end was reached."""
        ended = self._finished()
        with Interrupts() as interrupts, self.display:
            [self.stop] = most(interrupts.seen)
            while not (self.stop or ended):
                updated = self._update(interrupts)
                improved = updated and self._look()
                self.stop, done = most(interrupts.seen, updated and self._finished())
                ended = bool(done)
                due = updated and self.step % self.config.checkpoint_every == 0
                if self.stop or ended or improved or due:
                    self._save()
        return ended

    def _update(self, interrupts: Interrupts) -> bool:
        """A step: an update of the parameters, from as many batches as its gradient is the mean of.

        Batches in which nothing is asked only carry the state on: for the learning rate, as for everything
        else, they are no step. Between two steps a signal ends it; False then.
        """
        parts: list[Sums] = []
        while len(parts) < self.config.optimizer.accumulate:
            own = next(self.training.data)
            [asked] = most(bool(np.any(own["weights"])))
            batch = self.training.placement.rows(own)
            self._tokens += batch["weights"].size
            if asked:
                parts.append(self.learner.step(batch))
                continue
            if self.learner.carry is not None:
                self.learner.evaluate(batch)
            if not parts and any(most(interrupts.seen)):
                return False
        self.step += 1
        self.metrics.train(self.step, _together(parts))
        self.pace.step()
        return True

    def _look(self) -> bool:
        """Check on the validation split when it is time, and show; whether it is the best check so far."""
        due = self._due()
        if due or self.display.stale():
            now = self.metrics.flush()
            self.display.train(self.step, now, self.rates[self.step - 1], self._tokens)
        if not due:
            return False
        self.pace.pause()
        config = self.config
        how = (config.batch_size, config.segment, config.evaluate_rows, self.training.placement)
        values = evaluate(self._evaluated(), config.task, "validation", *how)
        times = {"seconds": self._seconds(), **self.display.throughput}
        self.metrics.check(self.step, "validation", {**values, **times})
        self.display.check(self.step, values)
        value = monitored(config, values)
        improved = math.isfinite(value) and (self.best is None or value < self.best[1])
        if improved:
            self.best = self.step, value
        return improved

    def _save(self) -> None:
        self.metrics.flush()
        self.pace.pause()
        reached = Reached(self.step, self._seconds(), self.pace.timed, self.best)
        self.checkpoints.save(reached, self.learner, self.training.data)

    def _end(self) -> Summary:
        """Test the parameters of the best check; those of the last step where no check had a number."""
        seconds, checked = self._seconds(), self.step
        if self.best is not None and self.best[0] != self.step:
            if self.checkpoints.use(self.best[0], self.learner):
                checked = self.best[0]
        folder, mean = self.training.folder, self.pace.mean
        steps = (self.step, checked)
        how = (folder, steps, seconds, mean, self.training.placement)
        return finish(self.config, self._evaluated(), *how)

    def _finished(self) -> bool:
        """Whether all steps are done, or the last checks were no better than the best one."""
        patience = self.config.patience
        if self.step == self.config.steps or not patience or not self._due():
            return self.step == self.config.steps
        self.metrics.flush()
        checks = [line["step"] for line in self.metrics.read() if line["split"] == "validation"]
        if self.best is None:
            return len(checks) > patience
        return len([step for step in checks if step > self.best[0]]) >= patience

    def _evaluated(self) -> Learner:
        """The learner that is evaluated: this one, or one with its averaged parameters."""
        if not self.config.optimizer.average:
            return self.learner
        if self._average is None:
            self._average = new_learner(self.config, placement=self.training.placement)
        self._average.params = average(self.learner)
        return self._average

    def _due(self) -> bool:
        """Whether a check comes after this step."""
        return self.step % self.config.validate_every == 0 or self.step == self.config.steps

    def _seconds(self) -> float:
        return time.monotonic() - self.began


def monitored(config: Config, values: dict[str, float]) -> float:
    """What a check is judged by: lower is better."""
    if config.monitor == "loss":
        return values["loss"]
    metric = config.task.metric
    return -values[metric] if metric == "accuracy" else values[metric]


def _together(parts: list[Sums]) -> dict[str, Any]:
    """The sums of a step's batches; of the gradients' norms the mean."""
    total = functools.reduce(lambda a, b: jax.tree.map(operator.add, a, b), parts)
    return {**total, "gradient_norm": total["gradient_norm"] / len(parts)}
