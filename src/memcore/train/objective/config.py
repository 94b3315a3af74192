"""What determines a run, and its form as JSON."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import memcore
from memcore import plugins, tasks
from memcore.cell import Model
from memcore.tasks import Task
from memcore.tasks.base.checks import SEEDS, at_least, within

Optimizer = Literal["adamw", "lion", "muon", "sgd"]
Schedule = Literal["constant", "cosine", "linear"]
Framework = Literal["core", "equinox", "linen", "nnx"]
Precision = Literal["float32", "bfloat16"]
Monitor = Literal["loss", "metric"]


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise ValueError unless the option `name` is one of the `known`."""
    if value not in known:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(known)}")


@dataclass(frozen=True)
class OptimizerOptions:
    """An optimizer of optax with warm-up and clipped gradients; noise and averages if asked for."""

    optimizer: Optimizer = "adamw"
    """What makes an update of a gradient; sgd has momentum 0.9, muon is for matrices, Adam beside it."""
    schedule: Schedule = "cosine"
    """The learning rate after the warm-up: constant, or down to zero."""
    accumulate: int = 1
    """Batches whose gradients make one update, as their mean."""
    learning_rate: float = 1e-2
    """Highest learning rate, reached at the end of the warm-up."""
    warmup: float = 0.1
    """Part of the steps in which the learning rate rises."""
    weight_decay: float = 0.3
    """Decay of the matrices; biases, scales and recurrences have none."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    recurrence_rate: float = 0.5
    """Learning rate of the recurrences, as a part of that of the others."""
    noise: float = 0.0
    """Variance of the noise on the gradients at the first step; it falls as step^-0.55. 0: none."""
    average: float = 0.0
    """Decay of the moving average of the parameters, with which the model is evaluated and saved;
    0: the parameters themselves."""

    def __post_init__(self) -> None:
        for name, kind in (("optimizer", Optimizer), ("schedule", Schedule)):
            one_of(name, getattr(self, name), get_args(kind))
        at_least("accumulate", self.accumulate, 1)
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        for name in ("weight_decay", "recurrence_rate", "noise"):
            at_least(name, getattr(self, name), 0)
        for name in ("learning_rate", "weight_decay", "recurrence_rate", "noise"):
            if math.isinf(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)}, expected a finite number")
        if not 0 <= self.warmup < 1:
            raise ValueError(
                f"warmup is {self.warmup}, expected a part of the steps, from 0 to below 1"
            )
        if not 0 <= self.average < 1:
            raise ValueError(f"average is {self.average}, expected a decay, from 0 to below 1")


@dataclass(frozen=True)
class Config:
    """A run: with equal configurations, two runs end with the same numbers.

    `model` goes from the task's `in_features` to its `out_features` (see `network`). A check on
    the validation split comes every `validate_every` steps, a checkpoint every
    `checkpoint_every` steps; the last step, early or not, has both.

    A step is an update of the parameters. With a `segment` above 0 it sees that many time steps of the
    rows, and goes on from the state that the segment before left: truncated backpropagation through time.
    Segments in which nothing is asked carry the state on and are no step. Evaluation streams in the same
    segments. The parameters of the best check are kept, tested and saved: `monitor` says whether that is the
    one of the lowest loss, or the one of the best metric. With a `patience` above 0 training ends after
    that many checks that are no better. With `evaluate_rows` above 0 only the first so many rows of a split
    are evaluated.

    `imports` are modules that register a model or a task of your own; they are imported before a
    configuration is read (on the command line: --import).
    """

    task: Task
    model: Model
    framework: Framework = "core"
    steps: int = 800
    batch_size: int = 32
    seed: int = 0
    precision: Precision = "float32"
    segment: int = 0
    patience: int = 0
    monitor: Monitor = "loss"
    evaluate_rows: int = 0
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    validate_every: int = 100
    checkpoint_every: int = 200
    init: str | None = None
    """The folder of the run whose parameters this one begins with."""
    imports: tuple[str, ...] = field(default_factory=plugins.named)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "validate_every", "checkpoint_every"):
            at_least(name, getattr(self, name), 1)
        for name in ("seed", "segment", "patience", "evaluate_rows"):
            at_least(name, getattr(self, name), 0)
        within("seed", self.seed, 0, SEEDS, "a number of 32 bits")
        for name, kind in (("precision", Precision), ("monitor", Monitor)):
            one_of(name, getattr(self, name), get_args(kind))
        if self._rounds_tokens and "token_dtype" not in self.model.__dataclass_fields__:
            raise ValueError(
                f"precision is {self.precision!r}, expected 'float32' for a model of tokens without the "
                "field token_dtype"
            )
        if self.segment and not self.model.causal:
            raise ValueError(
                f"segment is {self.segment}, expected 0 for a model that is not causal"
            )
        for name in ("in_features", "out_features"):
            given, expected = getattr(self.model, name), getattr(self.task, name)
            if given != expected:
                raise ValueError(
                    f"model.{name} is {given}, expected {expected}, as of the task {self.task.name}"
                )

    @property
    def computing(self) -> Model:
        """The model that is trained: of tokens one whose computation has the precision.

        Its parameters are those of `model`. Other models compute in the precision of their inputs.
        """
        if not self._rounds_tokens:
            return self.model
        return replace(self.model, token_dtype=self.precision)  # type: ignore[call-arg]

    @property
    def _rounds_tokens(self) -> bool:
        return self.precision != "float32" and self.task.tokens

    def to_json(self) -> dict[str, Any]:
        """A dict of what JSON knows; `from_json` is its inverse."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        imports = values.pop("imports")
        return {
            **values,
            "task": tasks.to_config(self.task),
            "model": memcore.to_config(self.model),
            "optimizer": asdict(self.optimizer),
            **({"imports": list(imports)} if imports else {}),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Config":
        """The configuration that `to_json` gave; what is missing beside task and model has its default.

        Raises ValueError where its `imports` cannot be imported.
        """
        values = completed(values)
        imports = tuple(values.get("imports", ()))
        plugins.load(imports)
        return cls(
            **{
                **values,
                "task": tasks.make(**values["task"]),
                "model": memcore.from_config(values["model"]),
                "optimizer": OptimizerOptions(**values["optimizer"]),
                "imports": imports,
            }
        )


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a configuration with the defaults of what it lacks, as those of older versions do."""
    if not isinstance(values, dict):
        raise TypeError(f"{values!r} is no object")
    known = [name for name in Config.__dataclass_fields__ if hasattr(Config, name)]
    optimizer = {**asdict(OptimizerOptions()), **values.get("optimizer", {})}
    return {**{name: getattr(Config, name) for name in known}, **values, "optimizer": optimizer}
