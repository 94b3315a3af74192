"""Checkpoints through orbax: all that a run needs to go on exactly."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from memcore.train.learners import Learner
from memcore.train.learners.base import refill


class Checkpoints:
    """The newest checkpoint of a run; orbax makes each one visible only when it is whole.

    One holds the learner's state (parameters, optimizer, the model's carried state), the step it
    was taken after, the position of the data's iterator, the seconds trained so far, and how many steps
    took how long (see `Pace`). Random numbers need nothing more: after the initial parameters only the
    order of the data is random, and the noise on gradients, which follows from seed and step.
    """

    def __init__(self, folder: Path) -> None:
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(
        self, step: int, learner: Learner, data: Any, seconds: float, timed: tuple[int, float]
    ) -> None:
        """Take a checkpoint after `step`; the one before is removed afterwards.

        One that is there already stays: after it came no update, only segments that are read again.
        """
        if step == self._manager.latest_step():
            return
        position = {"data": data.get_state(), "seconds": seconds, "timed": timed}
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(jax.tree.leaves((learner.state, learner.carry))),
                position=ocp.args.JsonSave(position),
            ),
        )

    def restore(self, learner: Learner, data: Any) -> tuple[int, float, tuple[int, float]]:
        """Put learner and iterator where the newest checkpoint left them: (step, seconds, timed).

        (0, 0.0, (0, 0.0)) where there is none, and then nothing is changed.
        """
        step = self._manager.latest_step()
        if step is None:
            return 0, 0.0, (0, 0.0)
        found = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(jax.tree.leaves((learner.state, learner.carry))),
                position=ocp.args.JsonRestore(),
            ),
        )
        learner.state, learner.carry = refill((learner.state, learner.carry), found.state)
        data.set_state(found.position["data"])
        steps, seconds = found.position["timed"]
        return step, found.position["seconds"], (steps, seconds)

    def close(self) -> None:
        self._manager.close()
