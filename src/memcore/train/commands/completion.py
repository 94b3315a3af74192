"""`memcore --tyro-print-completion SHELL`: what a shell needs to complete the commands and their options."""

from collections.abc import Sequence
from typing import Any

import tyro

from memcore.train.commands import bench, evaluate, listing, predict, show
from memcore.train.commands.compare.options import Options as Compare
from memcore.train.commands.options import Names
from memcore.train.commands.parse import options_of

COMMANDS: dict[str, Any] = {
    "bench": bench.Options,
    "compare": Compare,
    "evaluate": evaluate.Options,
    "list": listing.Options,
    "predict": predict.Options,
    "show": show.options_of(show.Names()),
    "train": options_of(Names()),
}
"""The options of each command; of `train` and `show` those of the default model and task."""


def main(arguments: Sequence[str]) -> int:
    """Print or write the script as tyro's own options ask, and exit (SystemExit)."""
    tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="memcore", args=arguments)
    return 0
