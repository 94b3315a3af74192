"""Where a run prints: on a terminal, into a file or a pipe."""

import os
import sys

from rich.console import Console

LOG_WIDTH = 160
"""Columns of a table in a file or a pipe, where no terminal limits it."""


class RunConsole(Console):
    """A console whose reader may leave, as `head` does: what is printed after that goes nowhere."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("memcore: nobody reads the output any more; the work goes on", file=sys.stderr)


def new_console() -> Console:
    """The console of this process's output."""
    console = RunConsole()
    return console if console.is_terminal else RunConsole(width=LOG_WIDTH)
