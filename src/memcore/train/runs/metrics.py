"""The curve of a run: a file of JSON lines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memcore.train.objective.objective import Sums
from memcore.train.runs.evaluation import means
from memcore.train.runs.files import beside, finite, numbers
from memcore.train.runs.loggers import Logger


class Metrics:
    """Lines `{"step", "split", "loss", METRIC, ...}` of a run: every training step, every check.

    A training step has `learning_rate`, `gradient_norm` (before clipping) and `update_norm` too, a check
    `seconds` (trained so far) and `tokens_per_second`. `rates` are the learning rates of all steps.

    Training sums stay on the device until `flush`, so that a step does not wait for the one
    before it. A number that is not finite is null in the file, and NaN when it is read.
    """

    def __init__(
        self,
        path: Path,
        metric: str,
        rates: Sequence[float] = (),
        loggers: Sequence[Logger] = (),
    ) -> None:
        self.path, self.metric, self._rates, self._loggers = path, metric, rates, loggers
        self._waiting: list[tuple[int, str, Sums | dict[str, float]]] = []

    def train(self, step: int, sums: Sums) -> None:
        """Note the sums of a training step."""
        self._waiting.append((step, "train", sums))

    def check(self, step: int, split: str, values: dict[str, float]) -> None:
        """Note the means on a split."""
        self._waiting.append((step, split, values))

    def flush(self) -> dict[str, float]:
        """Write what is noted; returns the values of its last training step."""
        last: dict[str, float] = {}
        with self.path.open("a") as file:
            for step, split, values in self._waiting:
                if split == "train":
                    values = last = self._values(step, values)
                file.write(_line({"step": step, "split": split, **values}))
                for logger in self._loggers:
                    logger.log(step, split, values)
        self._waiting.clear()
        return last

    def _values(self, step: int, sums: Sums) -> dict[str, float]:
        """What a line says of a training step."""
        numbers = {key: float(value) for key, value in sums.items()}
        norms = {key: numbers[key] for key in ("gradient_norm", "update_norm")}
        rate = {"learning_rate": self._rates[step - 1]}
        return {**means(numbers, self.metric), **rate, **norms}

    def rewind(self, step: int) -> None:
        """Drop what was written after `step`, as a run does that goes on from there."""
        kept = [line for line in self.read() if line["step"] <= step]
        with beside(self.path) as draft:
            draft.write_text("".join(map(_line, kept)))

    def read(self) -> list[dict[str, Any]]:
        """All lines; one that was cut off by the end of a process is left out."""
        if not self.path.exists():
            return []
        lines = self.path.read_text().split("\n")
        return [numbers(json.loads(line)) for line in lines[:-1]]


def _line(values: dict[str, Any]) -> str:
    return json.dumps(finite(values)) + "\n"
