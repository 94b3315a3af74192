"""The options of `memcore train` that every run has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memcore.train.objective.config import Config, Framework, Monitor, Precision


@dataclass(frozen=True)
class Names:
    """The first pass: what must be known before all options are."""

    task: str = "digits"
    model: str = "lru"
    width: int = 64
    config: Path | None = None
    resume: Path | None = None
    steps: int | None = None
    tensorboard: bool = False
    mesh: str | None = None
    shard_parameters: bool = False
    hosts: str | None = None


@dataclass(frozen=True)
class Options:
    """Train a model on a task, and keep everything in a folder.

    The model stands in a residual stack; all its fields are options, --cell.*, and all the
    task's, --task-options.*: see the help with another --task or --model.
    """

    task: str = "digits"
    """What to learn."""
    pack: int = 1
    """How many examples of the task share a row, each beginning with a start."""
    model: str = "lru"
    """What learns it; fields may stand behind its name, as in gru:hidden_size=32. Several are the models of
    the layers in turn, as in 5*lru,attention:window=32."""
    framework: Framework = Config.framework
    """What wraps the model; the numbers are the same."""
    steps: int = Config.steps
    """Updates of the parameters."""
    batch_size: int = Config.batch_size
    """Rows in a batch."""
    seed: int = Config.seed
    """Of the initial parameters and of the order of the data."""
    precision: Precision = Config.precision
    """In which the model computes; parameters, states and the loss stay float32."""
    segment: int = Config.segment
    """Time steps of a row that an update sees, the state carried on (truncated backpropagation); 0: all.
    Segments in which nothing is asked are passed over: they carry the state, and are no update."""
    patience: int = Config.patience
    """Checks that are no better than the best one that end the training; 0: none."""
    monitor: Monitor = Config.monitor
    """What the best check is judged by, whose parameters are kept and tested: the validation loss, or the
    task's metric."""
    evaluate_rows: int = Config.evaluate_rows
    """How many rows of a split are evaluated, the first ones; 0: all."""
    layers: int | None = None
    """Blocks of the residual stack; without it 2, or as many as the model names."""
    width: int = 64
    """Width of the stack, and of the model's state where that is a vector."""
    position: Literal["learned"] | None = "learned"
    """Whether the stack adds the step's number since the last start, up to 1,024, or none."""
    validate_every: int = Config.validate_every
    """Steps between checks on the validation split."""
    checkpoint_every: int = Config.checkpoint_every
    """Steps between checkpoints."""
    tensorboard: bool = False
    """Write the metrics for TensorBoard too, into the run's folder."""
    mesh: str | None = None
    """Devices: data=4 splits the rows of a batch over four, time=4 every sequence, data=2,time=4 both;
    without it one. The numbers are the same."""
    shard_parameters: bool = False
    """Split the large parameters, and what the optimizer keeps of them, over the mesh as well."""
    hosts: str | None = None
    """Processes that train together: coordinator=HOST:PORT,count=N,index=I, each with its own index, or auto,
    where Slurm, MPI or a cloud says so. Their rows and devices are put together; the first one speaks."""
    out: Path | None = None
    """Folder of the run; without it, a new one in runs/TASK-MODEL-FRAMEWORK-SEED."""
    config: Path | None = None
    """File of a configuration, YAML or JSON as a run's config.json; other options change it."""
    init: Path | None = None
    """Begin with the parameters of the finished run in this folder."""
    sweep: tuple[str, ...] = ()
    """Train with each of several values of an option, as in optimizer.learning-rate=1e-3,3e-3; of several
    options with each combination. Ends in the table of compare."""
    resume: Path | None = None
    """Go on with the run in this folder; with --steps, to more steps than it had. On which devices is said
    anew: it need not be as before."""
