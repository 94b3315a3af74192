"""Other programs that follow a run: three functions, and TensorBoard's."""

from pathlib import Path
from typing import Any, Protocol


class Logger(Protocol):
    """What is told of a run, in this order. Any object with these three methods is one."""

    def start(self, config: dict[str, Any], folder: Path, step: int) -> None:
        """The run of this configuration (as `config.json`) begins, or goes on after `step`."""
        ...

    def log(self, step: int, split: str, values: dict[str, float]) -> None:
        """A line of `metrics.jsonl`: `split` is `train` or `validation`."""
        ...

    def finish(self, results: dict[str, Any] | None) -> None:
        """The run has ended, with what stands in `results.json`, or early."""
        ...


class TensorBoard:
    """Writes the metrics for TensorBoard into the run's folder, through tensorboardX.

    Raises ImportError naming the extra where tensorboardX is missing.
    """

    def __init__(self) -> None:
        try:
            import tensorboardX
        except ImportError as error:
            message = 'TensorBoard needs tensorboardX: install the extra "tensorboard"'
            raise ImportError(message) from error
        self._module = tensorboardX

    def start(self, config: dict[str, Any], folder: Path, step: int) -> None:
        # What a killed process wrote after the step is hidden.
        self._writer = self._module.SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        self._writer.add_text("config", str(config), step)

    def log(self, step: int, split: str, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{split}/{name}", value, step)

    def finish(self, results: dict[str, Any] | None) -> None:
        self._writer.close()
