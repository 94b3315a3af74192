"""What ``method="auto"`` runs: the fastest measured, per rule and kind of device.

The rows are filled from ``benchmarks/run.py --only rules numpy``, on a GPU by ``benchmarks/ahead.py``; a
row that nobody measured says "assumed".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memcore.backend import is_symbolic, tree_leaves
from memcore.engine.checks import check_model
from memcore.fields import is_count

if TYPE_CHECKING:
    from memcore.cell import Cell, Model
    from memcore.engine.recurrence import Recurrence


@dataclass(frozen=True)
class Choice:
    """A method with its chunk size, and where it comes from; ``most`` numbers of states are in a chunk."""

    method: str
    chunk_size: int | None = None
    why: str = "assumed"
    most: int | None = None


FEWEST = 4
"""Steps of a chunk, however large its states: chunks of one step are several times slower, of two a tenth."""

_CPU = "measured on a 2-core CPU"
_GPU = "measured on an H100"

TABLE: dict[str, dict[str, Choice]] = {
    "linear_recurrence": {
        "numpy": Choice("fused", None, _CPU),
        "cpu": Choice("fused", None, _CPU),
        "gpu": Choice("fused", None, _GPU),
        "tpu": Choice("fused"),
    },
    "widened_linear_recurrence": {
        "numpy": Choice("fused", 16, _CPU),
        "cpu": Choice("fused", 32, _CPU, 2**18),
        "gpu": Choice("fused", 1024, _GPU, 2**26),
        "tpu": Choice("fused", 1024, most=2**26),
    },
    "gated_cell": {
        "numpy": Choice("sequential", None, _CPU),
        "cpu": Choice("fused", None, _CPU),
        "gpu": Choice("fused", None, _GPU),
        "tpu": Choice("fused"),
    },
    "dense_recurrence": {
        "numpy": Choice("associative", None, _CPU),
        "cpu": Choice("fused", None, _CPU),
        "gpu": Choice("fused", None, _GPU),
        "tpu": Choice("fused"),
    },
    "linear_attention": {
        "numpy": Choice("fused", 32, _CPU),
        "cpu": Choice("fused", 32, _CPU),
        "gpu": Choice("fused", 64, _GPU),
        "tpu": Choice("fused", 128),
    },
    "delta_rule": {
        "numpy": Choice("fused", 32, _CPU),
        "cpu": Choice("fused", 16, _CPU),
        "gpu": Choice("fused", 64, _GPU),
        "tpu": Choice("fused", 32),
    },
    "dplr_delta_rule": {
        "numpy": Choice("fused", 32, _CPU),
        "cpu": Choice("fused", 16, _CPU),
        "gpu": Choice("fused", 64),
        "tpu": Choice("fused", 32),
    },
    "neural_memory": {
        "numpy": Choice("fused", None, _CPU),
        "cpu": Choice("fused", None, _CPU),
        "gpu": Choice("fused"),
        "tpu": Choice("fused"),
    },
    "softmax": {
        "numpy": Choice("associative", None, _CPU),
        "cpu": Choice("fused", None, _CPU),
        "gpu": Choice("associative", None, _GPU),
        "tpu": Choice("associative"),
    },
    "log_sum_exp": {
        "numpy": Choice("associative", None, _CPU),
        "cpu": Choice("fused", None, _CPU),
        "gpu": Choice("associative", None, _GPU),
        "tpu": Choice("associative"),
    },
    "max_plus": {
        "numpy": Choice("associative", None, _CPU),
        "cpu": Choice("fused", None, _CPU),
        "gpu": Choice("associative", None, _GPU),
        "tpu": Choice("associative"),
    },
    "mlstm": {
        "numpy": Choice("fused", 32, _CPU),
        "cpu": Choice("fused", 16, _CPU),
        "gpu": Choice("fused", 128, _GPU),
        "tpu": Choice("fused", 128),
    },
    "window_attention": {
        "numpy": Choice("fused", None, _CPU),
        "cpu": Choice("fused", None, _CPU),
        "gpu": Choice("fused", 256, _GPU),
        "tpu": Choice("fused", 256),
    },
    "full_attention": {
        "numpy": Choice("fused", 128, _CPU),
        "cpu": Choice("fused", 64, _CPU),
        "gpu": Choice("fused", 512, _GPU),
        "tpu": Choice("fused", 512),
    },
    "causal_convolution": {
        "numpy": Choice("fused", 64, _CPU),
        "cpu": Choice("fused", 64, _CPU),
        "gpu": Choice("fused", 1024, _GPU),
        "tpu": Choice("fused", 4096),
    },
}
"""Method by rule and device; a rule that is not here takes `default`."""


def default(methods: tuple[str, ...], device: str) -> Choice:
    """For a cell with a rule of its own: its fused form, else the fold (a CPU) or the prefix scan."""
    if "fused" in methods:
        return Choice("fused")
    if "associative" in methods and device in ("gpu", "tpu"):
        return Choice("associative")
    if "newton" in methods:
        return Choice("sequential", None, "newton is for accelerators, and where it is asked for")
    return Choice("sequential", None, "the only method" if len(methods) == 1 else "assumed")


def choose(cell: Cell, length: int, device: str, return_states: bool = False) -> Choice:
    """The choice for ``cell`` at ``length`` steps on ``device`` (numpy, cpu, gpu or tpu)."""
    if is_symbolic(length):
        return Choice((*open_methods(cell), "auto")[0], None, "the length is symbolic")
    if length == 1 and "sequential" in cell.methods:
        return Choice("sequential", None, "one step is one call")
    choice = TABLE.get(cell.rule_name, {}).get(device) or default(cell.methods, device)
    if choice.method == "fused" and return_states and not cell.returns_states:
        parallel = device in ("gpu", "tpu") and "associative" in cell.methods
        method = "associative" if parallel else "sequential"
        return Choice(method, None, "the fused form keeps no states")
    return choice


AT_ONCE = ("linear_attention", "delta_rule", "dplr_delta_rule", "mlstm")
"""Rules whose chunks run side by side on a GPU or a TPU."""


def at_once(cell: Cell, device: str) -> bool:
    """Whether the chunks of ``fused`` may run side by side: a memoroid's, of which elements can be made."""
    memoroid = "associative" in cell.methods
    return device in ("gpu", "tpu") and memoroid and cell.rule_name in AT_ONCE


FOLDS = ("linear_recurrence", "gated_cell", "dense_recurrence", "log_sum_exp", "max_plus")
"""Rules whose fused form is a fold over steps, where their number is not known."""


def open_methods(cell: Cell) -> tuple[str, ...]:
    """The methods for a length that ``jax.export`` leaves open: nothing is cut into chunks or halves."""
    folds = ("fused", "sequential") if cell.rule_name in FOLDS else ("sequential",)
    return tuple(method for method in folds if method in cell.methods)


def check_open(cell: Cell, method: str, length: int) -> None:
    """Raise ValueError where ``method`` needs a length that is a number."""
    allowed = open_methods(cell)
    if method not in allowed:
        name = cell.rule_name or type(cell).__name__
        other = f", or one of the methods {allowed}" if allowed else ""
        raise ValueError(
            f"xs has the symbolic length {length}, for which {name} cannot run {method!r}: expected a number "
            f"of steps{other}"
        )


def chunk_size(job: Recurrence, method: str, device: str) -> int | None:
    """The steps per chunk of ``method`` in the table, fewer of large states; None where it has none."""
    choice = TABLE.get(job.cell.rule_name, {}).get(device)
    if choice is None or choice.method != method:
        return None
    if any(map(is_symbolic, job.shape)):
        return choice.chunk_size
    return steps(choice, sum(leaf.size for leaf in tree_leaves(job.state)))


def steps(choice: Choice, numbers: int) -> int | None:
    """The steps per chunk where a state, of all sequences, is ``numbers`` numbers."""
    if choice.most is None or choice.chunk_size is None:
        return choice.chunk_size
    return max(FEWEST, min(choice.chunk_size, choice.most // max(numbers, 1)))


def explain(model: Model, length: int, backend: str = "cpu", *, return_states: bool = False) -> str:
    """What ``method="auto"`` runs, part by part, and why.

    Args:
        model: any `Model`.
        length: T, the number of time steps.
        backend: ``"numpy"``, or JAX's platform ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        return_states: whether the run returns the states.

    Returns:
        One line per recurrence: its name, the method, the chunk size, and where the choice is from.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    devices = ("numpy", "cpu", "gpu", "tpu")
    if backend not in devices:
        raise ValueError(f"backend is {backend!r}, expected one of {devices}")
    check_model(model)
    if not is_count(length, 0):
        raise ValueError(f"length is {length!r}, expected an int, none below 0")
    lines = []
    for name, cell in model.recurrences():
        choice = choose(cell, length, backend, return_states)
        fewer = ", fewer of large states" if choice.most else ""
        chunk = f", chunks of {choice.chunk_size}{fewer}" if choice.chunk_size else ""
        lines.append(f"{name}: {choice.method}{chunk} ({choice.why})")
    return "\n".join(lines)
