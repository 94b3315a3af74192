"""`memcore show`: a few examples of a task as a picture."""

import dataclasses
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from memcore import tasks
from memcore.tasks import Split
from memcore.train.commands.reported import reported
from memcore.types import Value

PROG = "memcore show"


@dataclass(frozen=True)
class Names:
    """The first pass: the task, whose options the second pass knows."""

    task: str = "digits"


@dataclass(frozen=True)
class Options:
    """Draw a few examples of a task into a picture.

    All fields of the task are options, --task-options.*: see the help with another --task.
    """

    task: str = Names.task
    """What to draw."""
    split: Split = "train"
    """Of which split."""
    first: int = 0
    """Number of the first example."""
    count: int = 4
    """How many examples."""
    steps: int | None = None
    """At most so many steps of each; without it 256, of images as many as make 8."""
    pack: int = 1
    """How many examples share a row."""
    out: Path | None = None
    """The picture, whose ending says its format, as .png, .pdf or .svg; without it, TASK.png."""


@reported(PROG)
def main(arguments: Sequence[str]) -> None:
    """Run the command; returns its exit code: 2 where arguments or data are not as they should be."""
    options = parse(arguments)
    path = (options.out or Path(f"{options.task}.png")).expanduser()
    write(options, path)
    print(path)


def parse(arguments: Sequence[str]) -> Value:
    """`Options` with the field `task_options`, the task.

    Prints and exits (SystemExit) for --help and for what tyro does not understand. Raises
    ValueError for an unknown task.
    """
    names, _ = tyro.cli(Names, args=arguments, return_unknown_args=True, add_help=False, prog=PROG)
    options = options_of(names)
    return tyro.cli(options, args=arguments, prog=PROG, description=inspect.getdoc(Options))


def options_of(names: Names) -> type:
    """`Options` with the names of tasks as choices, and the fields of the named task."""
    task = tasks.task_class(names.task)
    fields: list[Value] = [
        ("task", Literal[tuple(sorted(tasks.tasks))], names.task),
        ("task_options", task, task()),
    ]
    return dataclasses.make_dataclass("Show", fields, bases=(Options,), frozen=True)


def write(options: Value, path: Path) -> None:
    """Draw what `parse` returned into `path`, which is written whole or not at all.

    Raises ValueError for a path whose ending is that of no format.
    """
    # After parsing: --help answers without loading matplotlib.
    from memcore.tasks.show import figure
    from memcore.train.runs.files import beside

    ending = picture_format(path)
    task = options.task_options
    packed = task if options.pack == 1 else tasks.Packed(task, options.pack)
    drawn = figure(
        packed, options.split, first=options.first, count=options.count, steps=options.steps
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside(path) as draft:
        drawn.savefig(draft, format=ending)


def picture_format(path: Path) -> str:
    """The format that a picture's ending names; ValueError for one that matplotlib cannot write."""
    from matplotlib.backend_bases import FigureCanvasBase

    known, ending = FigureCanvasBase.get_supported_filetypes(), path.suffix[1:].lower()
    if ending not in known:
        given = f"ends in {path.suffix!r}" if ending else "has no ending"
        endings = ", ".join(f".{name}" for name in sorted(known))
        raise ValueError(f"out is {str(path)!r}, which {given}, expected one of {endings}")
    return ending
