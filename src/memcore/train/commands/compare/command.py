"""`memcore compare`: parse, train all models, and set them side by side."""

import dataclasses
import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console

from memcore import tasks
from memcore.tasks import Task
from memcore.tasks.base.streams import look, rows_of
from memcore.train.commands.compare import runs
from memcore.train.commands.compare.options import Entry, Options, entries, parameters
from memcore.train.commands.compare.results import RESULTS
from memcore.train.commands.models import normal
from memcore.train.commands.parse import packed
from memcore.train.runs.console import new_console
from memcore.train.runs.files import drafts, read_json, write_json
from memcore.train.runs.folder import RunFolder, difference, holds_other_things
from memcore.train.runs.lock import held
from memcore.types import Value

PROG = "memcore compare"
COMPARISON = "comparison.json"


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code.

    0 where a run ended well, 1 where none did, 130 after Ctrl-C, 143 after SIGTERM, 2 for arguments or
    data that are not as they should be.
    """
    try:
        options, task = parse(arguments)
        planned = list(entries(options, task))
        check(options, task)
        if options.models != "all":  # of all, one that cannot be built is a row with its reason
            for entry in planned:
                parameters(entry.build().model)
        planned = enter(options, task, planned)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 2
    try:
        return compare(options, planned, new_console())
    except BlockingIOError as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 2


def parse(arguments: Sequence[str]) -> tuple[Options, Task]:
    """The options and the task; the first pass reads the task's name, the second all its options."""
    first, _ = tyro.cli(_Name, args=arguments, return_unknown_args=True, add_help=False, prog=PROG)
    cls = tasks.task_class(first.task)
    names = Literal[tuple(sorted(tasks.tasks))]  # type: ignore[valid-type]
    fields: list[Value] = [("task", names, first.task), ("task_options", cls, cls())]
    kind = dataclasses.make_dataclass("Compare", fields, bases=(Options,), frozen=True)
    options: Value = tyro.cli(kind, args=arguments, prog=PROG, description=inspect.getdoc(Options))
    return options, packed(options.task_options, options.pack)


def check(options: Options, task: Task) -> None:
    """Raise ValueError or OSError for data that are not as they should be, before anything is written."""
    look(task, options.segment, options.evaluate_rows)
    rows = rows_of(task, "train")
    if options.batch_size > rows:
        raise ValueError(
            f"batch_size is {options.batch_size}, expected 1 to {rows}, the size of the train split of "
            f"{task.name}"
        )


def enter(options: Options, task: Task, planned: list[Entry]) -> list[Entry]:
    """The runs of the folder's comparison: those that are there, and those that are planned.

    Raises FileExistsError where the folder holds a comparison with other settings, or something else,
    BlockingIOError where another process trains in it.
    """
    folder = options.folder
    if not (folder / COMPARISON).exists() and holds_other_things(folder, COMPARISON):
        raise FileExistsError(
            f"{folder} exists and holds no comparison, expected a new or an empty folder; choose another "
            "one (--out)"
        )
    with held(folder):
        return _entered(options, task, planned)


def _entered(options: Options, task: Task, planned: list[Entry]) -> list[Entry]:
    folder, here = options.folder, options.settings(task)
    path = folder / COMPARISON
    keys: list[Value] = []
    if path.exists():
        there, keys = _read(path)
        # A comparison of an older version lacks options that have come since: it has their defaults.
        there = {**json.loads(json.dumps(Options().settings(task))), **there}
        if there != json.loads(json.dumps(here)):
            raise FileExistsError(
                f"{folder} holds another comparison: {difference(there, here)}; choose another folder "
                "(--out), or remove this one"
            )
    known = [
        Entry(normal(model), position, rate, seed, options, task)
        for model, position, rate, seed in keys
    ]
    known = [e for e in known if RunFolder(e.folder).results.exists() and e not in planned]
    keys = [[e.model, e.position, e.learning_rate, e.seed] for e in (*known, *planned)]
    for draft in drafts(folder, path.name, *RESULTS, "curves.png"):
        draft.unlink(missing_ok=True)
    write_json(path, {"settings": here, "runs": keys})
    return [*known, *planned]


def _read(path: Path) -> tuple[dict[str, Any], list[Value]]:
    """The settings and the runs of the comparison in a file; ValueError where it is something else."""
    content = read_json(path)
    try:
        settings, runs = content["settings"], content["runs"]
        [(model, position, rate, seed) for model, position, rate, seed in runs]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not the file of a comparison: {error!r}") from error
    return settings, runs


@dataclasses.dataclass(frozen=True)
class _Name:
    task: str = Options.task


def compare(options: Options, planned: list[Entry], console: Console) -> int:
    """Train what is not trained yet; after each run the results are those of the runs so far.

    Raises BlockingIOError where another process trains in the folder.
    """
    title = f"{planned[0].task.title}, {options.steps} steps, {options.framework}"
    return runs.compare(options.folder, title, options.steps, planned, console)
