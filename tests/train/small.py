"""A configuration that trains in a second: one small layer on short rows."""

from dataclasses import replace

from memcore.registry import lookup
from memcore.tasks import RepeatFirst
from memcore.train import Config, OptimizerOptions, network


def small_config() -> Config:
    """Six steps; checks and checkpoints after the fourth and the last."""
    task = RepeatFirst(length=8, episodes=2, symbols=3)
    model = network(task, lookup("gru")(8, hidden_size=8), layers=1)
    return Config(
        task=task,
        model=replace(model, mlp_factor=1.0),
        steps=6,
        batch_size=600,
        optimizer=OptimizerOptions(learning_rate=1e-2),
        validate_every=4,
        checkpoint_every=4,
    )
