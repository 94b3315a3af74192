"""What a run ends with: its summary, as JSON and as a table."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from memcore.cell import Model
from memcore.networks import ResidualStack
from memcore.registry import name_of
from memcore.train.files import read_json, write_json


@dataclass(frozen=True)
class Summary:
    """The result of a finished run; losses in nats, accuracies from 0 to 1."""

    task: str
    model: str
    framework: str
    parameters: int
    steps: int
    train_loss: float
    """Mean over the last steps, up to 100."""
    validation_loss: float
    validation_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float
    """Training time, checks and compilation included, over all its sittings."""

    def write(self, path: Path) -> None:
        """Write the summary as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Summary":
        """The summary that `write` wrote."""
        return cls(**read_json(path))


def table(summary: Summary) -> Table:
    """The closing table of a run."""
    result = Table(title=f"{summary.model} on {summary.task}")
    row: list[str] = []
    for header, value in _columns(summary).items():
        result.add_column(header, justify="left" if header == "framework" else "right")
        row.append(value)
    result.add_row(*row)
    return result


def _columns(summary: Summary) -> dict[str, str]:
    return {
        "framework": summary.framework,
        "parameters": f"{summary.parameters:,}",
        "steps": f"{summary.steps:,}",
        "train loss": f"{summary.train_loss:.4f}",
        "validation": f"{summary.validation_accuracy:.2%}",
        "test": f"{summary.test_accuracy:.2%}",
        "time": f"{summary.seconds:.0f} s",
    }


def describe(model: Model) -> str:
    """A model in a few words: `2 x gru`."""
    if not isinstance(model, ResidualStack):
        return name_of(model)
    return f"{model.layers} x {', '.join(describe(part) for part in model.models)}"


def train_loss(lines: list[dict[str, Any]]) -> float:
    """Mean training loss over the last steps, up to 100, of a run's metrics."""
    losses = [line["loss"] for line in lines if line["split"] == "train"][-100:]
    return sum(losses) / len(losses)
