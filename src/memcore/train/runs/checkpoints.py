"""Checkpoints through orbax: all that a run needs to go on exactly."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import orbax.checkpoint as ocp

from memcore.train.learners import Learner
from memcore.train.learners.base import refill
from memcore.types import Value

KEPT = 3
"""How many of the newest checkpoints stay: where the last is damaged, there is one before it."""


@dataclass(frozen=True)
class Reached:
    """How far a run has come: the step, and the seconds until then; how many steps took how long; the step of
    the best check, and its value."""

    step: int = 0
    seconds: float = 0.0
    timed: tuple[int, float] = (0, 0.0)
    best: tuple[int, float] | None = None


class Checkpoints:
    """The newest checkpoints of a run; orbax makes each one visible only when it is whole.

    One holds the learner's state (parameters, optimizer, the model's carried state), the step it
    was taken after, the position of the data's iterator, the seconds trained so far, and how many steps
    took how long (see `Pace`). Random numbers need nothing more: after the initial parameters only the
    order of the data is random, and the noise on gradients, which follows from seed and step.

    `say` is given what there is to say about a checkpoint that cannot be read.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
        self._folder, self._say = folder, say
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(self, reached: Reached, learner: Learner, data: Value) -> None:
        """Take a checkpoint; those older than the last `KEPT` are removed afterwards, all but the best one.

        One of this step that is there already stays: after it came no update, only segments that are read
        again.
        """
        if reached.step == self._manager.latest_step():
            return
        position = {**asdict(reached), "data": data.get_state()}
        self._manager.save(
            reached.step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(jax.tree.leaves((learner.state, learner.carry))),
                position=ocp.args.JsonSave(position),
            ),
        )
        for step in sorted(self._manager.all_steps())[:-KEPT]:
            if reached.best is None or step != reached.best[0]:
                self._manager.delete(step)

    def restore(self, learner: Learner, data: Value) -> Reached:
        """Put learner and iterator where the newest readable checkpoint left them.

        Where there is none nothing is changed. Damaged ones that are newer are removed. Raises ValueError
        where all are damaged.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for number, step in enumerate(steps):
            reached = self._read(step, learner, data)
            if reached is not None:
                for damaged in steps[:number]:
                    self._manager.delete(damaged)
                return reached
        if steps:
            raise ValueError(
                f"{self._folder} holds no checkpoint that can be read; remove it to train from the beginning"
            )
        return Reached()

    def use(self, step: int, learner: Learner) -> bool:
        """Put the learner where a checkpoint left it; False, and nothing is changed, where it is damaged."""
        return self._read(step, learner, _Nowhere()) is not None

    def _read(self, step: int, learner: Learner, data: Value) -> Reached | None:
        """Learner and iterator from one checkpoint; None, and nothing is changed, where it is damaged."""
        wanted = ocp.args.Composite(
            state=ocp.args.StandardRestore(jax.tree.leaves((learner.state, learner.carry))),
            position=ocp.args.JsonRestore(),
        )
        try:
            found = self._manager.restore(step, args=wanted)
            position = found.position
            timed, best = position["timed"], position.get("best")
            best = best and (best[0], best[1])
            reached = Reached(step, position["seconds"], (timed[0], timed[1]), best)
            place = position["data"]
        except Exception as error:  # orbax and what it stands on have many kinds
            reason = str(error).strip().partition("\n")[0][:100] or type(error).__name__
            self._say(f"checkpoint {step} in {self._folder} is damaged: {reason}")
            return None
        learner.state, learner.carry = refill((learner.state, learner.carry), found.state)
        data.set_state(place)
        return reached

    def close(self) -> None:
        self._manager.close()


class _Nowhere:
    """Data whose place does not matter: no batch is read any more."""

    def set_state(self, state: Value) -> None:
        pass
