"""Runs one after the other, set side by side: those of a comparison, or of a sweep."""

import io
from collections.abc import Sequence
from pathlib import Path

import jax
from rich.console import Console

from memcore.train.commands.compare.picture import draw
from memcore.train.commands.compare.progress import Follow
from memcore.train.commands.compare.results import Entry, Outcome, cells, headers, rows, write
from memcore.train.runs.interrupt import exit_code
from memcore.train.runs.lock import held
from memcore.train.runs.loggers import Logger
from memcore.train.runs.loop import Training
from memcore.train.runs.progress import shown
from memcore.train.runs.tables import show

FAILED = 1
KEPT = 20
"""Runs after which compiled programs are let go: Linux gives a process memory maps for those of some sixty
models. The seeds of a model share theirs."""


def compare(
    folder: Path, title: str, steps: int, planned: Sequence[Entry], console: Console
) -> int:
    """Train what is not trained yet, `steps` each; after each run the results are those of the runs so far.

    Returns the exit code: 0 where a run ended well, 1 where none did, that of the signal that ended it.
    Raises BlockingIOError where another process trains in the folder.
    """
    outcomes, stopped = list[Outcome](), 0
    follow = Follow(console, len(planned), steps)
    with held(folder), follow.bar:
        for entry in planned:
            follow.begin(len(outcomes), f"{entry.label}, seed {entry.seed}")
            outcome = attempt(entry, follow)
            if isinstance(outcome, int):
                stopped = outcome
                break
            outcomes.append(outcome)
            write(rows(outcomes), folder)
            draw(outcomes, rows(outcomes), title, folder / "curves.png")
            if len(outcomes) % KEPT == 0:
                jax.clear_caches()
            if not console.is_terminal:
                line = _line(outcome, len(outcomes), len(planned))
                console.print(line, highlight=False, soft_wrap=True)
    return _ended(outcomes, stopped, folder, title, console)


def _ended(
    outcomes: list[Outcome], stopped: int, folder: Path, title: str, console: Console
) -> int:
    """Show the table; the exit code."""
    found = rows(outcomes)
    if outcomes:
        show(console, title, headers(found), [cells(row) for row in found])
        console.print(f"table, CSV, JSON and picture: {folder}", highlight=False, soft_wrap=True)
    if stopped:
        again = f"interrupted; the same command goes on (--out {folder})"
        console.print(again, highlight=False, soft_wrap=True)
        return exit_code(stopped)
    return 0 if any(row.mean is not None for row in found) else FAILED


def attempt(entry: Entry, follow: Logger) -> Outcome | int:
    """A run from its beginning, from where it was, or as it ended; the signal that ended it early.

    Whatever goes wrong with one model is said in its row, and the others go on.
    """
    try:
        silent = Console(file=io.StringIO())
        training = Training(entry.build(), entry.folder, silent, [follow])
        summary = training.run()
    except Exception as error:
        return Outcome(entry, reason=f"{type(error).__name__}: {error}".splitlines()[0][:200])
    return training.interrupted if summary is None else Outcome(entry, summary)


def _line(outcome: Outcome, number: int, of: int) -> str:
    entry, summary = outcome.entry, outcome.summary
    head = f"{number}/{of}  {entry.label}, seed {entry.seed}, rate {entry.learning_rate:g}: "
    if summary is None:
        return head + outcome.reason
    return head + f"test {summary.metric} {shown(summary.metric, summary.test_metric)}"
