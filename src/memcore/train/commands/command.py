"""`memcore train`: parse, train, and say how it ended."""

import sys
from collections.abc import Sequence

from memcore.train.commands.parse import PROG, parse
from memcore.train.runs.interrupt import exit_code


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code.

    0 for a finished run, 130 for one that Ctrl-C ended and 143 for one that SIGTERM ended, both of which
    can go on, 2 for arguments or data that are not as they should be.
    """
    try:
        plan = parse(arguments)
        # After parsing: --help answers without loading jax and its company.
        from memcore.train.commands.sweep import sweep
        from memcore.train.runs.loggers import TensorBoard
        from memcore.train.runs.loop import Training

        if plan.sweep:
            return sweep(arguments, plan)
        loggers = [TensorBoard()] if plan.tensorboard else []
        training = Training(plan.config, plan.folder, loggers=loggers)
        summary = training.run()
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 2
    return exit_code(training.interrupted) if summary is None else 0
