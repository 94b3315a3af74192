"""What a command says where arguments or data are not as they should be."""

import functools
import sys
from collections.abc import Callable, Sequence

Command = Callable[[Sequence[str]], None]


def reported(prog: str) -> Callable[[Command], Callable[[Sequence[str]], int]]:
    """Decorator: the exit code, 0, or 2 where arguments or data raise; the error is one line of stderr.

    A reader of the output who leaves is none of these: BrokenPipeError goes on.
    """

    def around(command: Command) -> Callable[[Sequence[str]], int]:
        @functools.wraps(command)
        def main(arguments: Sequence[str]) -> int:
            try:
                command(arguments)
            except BrokenPipeError:
                raise
            except (ValueError, TypeError, LookupError, OSError, ImportError) as error:
                print(f"{prog}: {error}", file=sys.stderr)
                return 2
            return 0

        return main

    return around
