"""`memcore train`: parse, train, and say how it ended."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from memcore.train.commands.parse import PROG, Plan, parse
from memcore.train.runs.interrupt import exit_code

ALONE = 1
"""The exit code of one of several processes that ends without the others."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code.

    0 for a finished run, 130 for one that Ctrl-C ended and 143 for one that SIGTERM ended, both of which
    can go on, 2 for arguments or data that are not as they should be. One of several processes that ends
    without the others, or because another one is gone, ends with 1, or as JAX ends it.
    """
    try:
        plan = parse(arguments)
        if plan.places.hosts is not None:
            return _together(plan)
        # After parsing: --help answers without loading jax and its company.
        from memcore.train.commands.sweep import sweep

        return sweep(arguments, plan) if plan.sweep else _train(plan)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 2


def _train(plan: Plan) -> int:
    from memcore.train.devices.hosts import by_first
    from memcore.train.devices.placement import ONE_DEVICE, place
    from memcore.train.runs.folder import RunFolder
    from memcore.train.runs.loggers import TensorBoard
    from memcore.train.runs.loop import Training

    where = plan.places
    placement = ONE_DEVICE
    if where.axes or where.hosts:
        placement = place(where.axes, where.shard_parameters)
    # A new folder's number is the first one's: another process may see it when it is there already.
    folder = Path(by_first(lambda: str(plan.folder)))
    if plan.extended:
        by_first(lambda: RunFolder(folder).extend(plan.config))
    loggers = [TensorBoard()] if plan.tensorboard else []
    training = Training(plan.config, folder, loggers=loggers, placement=placement)
    summary = training.run()
    return exit_code(training.interrupted) if summary is None else 0


def _together(plan: Plan) -> int:
    """Train as one of several processes."""
    import jax

    from memcore.train.devices.hosts import Agreed, join, part

    hosts = plan.places.hosts
    join(None if isinstance(hosts, str) else hosts)
    try:
        code = _train(plan)
    except Agreed:
        raise
    except (ValueError, TypeError, OSError, ImportError, jax.errors.JaxRuntimeError) as error:
        index, count = part()
        reason = str(error).partition("\n")[0]
        again = "with one gone all end; to go on, start all with --resume and the run's folder"
        print(f"{PROG}: process {index} of {count} ends: {reason}; {again}", file=sys.stderr)
        sys.stderr.flush()
        os._exit(ALONE)  # JAX's farewell waits for the others, who may be gone
    jax.distributed.shutdown()
    return code
