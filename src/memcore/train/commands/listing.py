"""`memcore list`: the models and tasks that there are, a line for each."""

import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import optree
import tyro
from rich.console import Console
from rich.table import Table

from memcore import tasks
from memcore.cell import Model
from memcore.registry import alone, registry

PROG = "memcore list"
WIDTH = 64
"""Width of the inputs for which the table has the size of the state."""


@dataclass(frozen=True)
class Options:
    """List models and tasks, or one of the two."""

    what: tyro.conf.Positional[Literal["all", "models", "tasks"]] = "all"
    """What to list."""
    models: tyro.conf.FlagCreatePairsOff[bool] = False
    """A table of the models: family, size of the state, cost of a step, methods of execution."""
    family: str | None = None
    """Only the models of this family, in that table."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    options = tyro.cli(Options, args=arguments, prog=PROG)
    if options.models or options.family is not None:
        try:
            found = table(options.family)
        except ValueError as error:
            print(f"{PROG}: {error}", file=sys.stderr)
            return 2
        console = Console()
        # Into a file or a pipe the table goes as wide as it is.
        (console if console.is_terminal else Console(width=160)).print(found)
        return 0
    known: dict[str, Mapping[str, type]] = {"models": registry, "tasks": tasks.tasks}
    chosen = known if options.what == "all" else (options.what,)
    print("\n\n".join(f"{title}:\n{lines(known[title])}" for title in chosen))
    return 0


def lines(classes: Mapping[str, type]) -> str:
    """A line for each class, by name: its name and the first sentence of its documentation."""
    width = 2 + max(map(len, classes))
    return "\n".join(f"  {name:<{width}}{_says(cls)}" for name, cls in sorted(classes.items()))


def table(family: str | None = None) -> Table:
    """A row for each model, or for each of a family, but for wrappers, whose numbers are their model's.

    ValueError for an unknown family.
    """
    families = {name: family_of(cls) for name, cls in alone().items()}
    if family is not None and family not in families.values():
        known = ", ".join(sorted(set(families.values())))
        raise ValueError(f"family is {family!r}, expected one of {known}")
    caption = f"state: numbers kept from step to step, with default options and inputs {WIDTH} wide"
    result = Table(caption=caption, box=None, header_style="bold", caption_justify="left")
    for header in ("model", "family", "state", "cost of a step", "methods"):
        result.add_column(header, justify="right" if header == "state" else "left", overflow="fold")
    for name, cls in sorted(alone().items(), key=lambda item: (families[item[0]], item[0])):
        if family in (None, families[name]):
            model = cls(WIDTH)
            state = f"{state_size(model):,}"
            result.add_row(name, families[name], state, cost(cls), ", ".join(model.methods))
    return result


def family_of(cls: type[Model]) -> str:
    """The folder of `memcore.models` that a class is in; of other classes their package."""
    rooms = cls.__module__.split(".")
    if rooms[0] != "memcore":
        return rooms[0]
    return rooms[2] if rooms[1] == "models" else rooms[1]


def state_size(model: Model) -> int:
    """How many numbers a model keeps from step to step, for each sequence."""
    state = model.initial_state(model.init(np.random.default_rng(0)))
    return sum(np.size(leaf) for leaf in optree.tree_leaves(state))


def cost(cls: type[Model]) -> str:
    """What the documentation of a model says that a step costs."""
    text = " ".join((inspect.getdoc(cls) or "").split())
    found = re.search(r"[Cc]ost per step[^`.]*``([^`]+)``", text)
    return found[1] if found else ""


def _says(cls: type) -> str:
    """The first paragraph of a class's documentation, up to the end of its first sentence."""
    paragraph = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".").replace("`", "")
