"""`memcore list`: the models and tasks that there are, a line for each."""

import inspect
import sys
from collections.abc import Mapping, Sequence

from memcore import tasks
from memcore.registry import registry

PROG = "memcore list"
CHOICES = ("models", "tasks")


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    if arguments and arguments[0] in ("-h", "--help"):
        print(f"usage: {PROG} [{'|'.join(CHOICES)}]\n\nList models and tasks, or one of the two.")
        return 0
    if len(arguments) > 1 or not set(arguments) <= set(CHOICES):
        given = " ".join(arguments)
        print(f"{PROG}: {given!r} given, expected nothing, models or tasks", file=sys.stderr)
        return 2
    known: dict[str, Mapping[str, type]] = {"models": registry, "tasks": tasks.tasks}
    chosen = arguments or CHOICES
    print("\n\n".join(f"{title}:\n{lines(known[title])}" for title in chosen))
    return 0


def lines(classes: Mapping[str, type]) -> str:
    """A line for each class, by name: its name and the first sentence of its documentation."""
    width = 2 + max(map(len, classes))
    return "\n".join(f"  {name:<{width}}{_says(cls)}" for name, cls in sorted(classes.items()))


def _says(cls: type) -> str:
    """The first paragraph of a class's documentation, up to the end of its first sentence."""
    paragraph = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".").replace("`", "")
