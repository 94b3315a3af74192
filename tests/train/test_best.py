"""The parameters of the best check are kept, tested and saved."""

from dataclasses import replace

import jax
import numpy as np
import pytest

import memcore
from memcore.tasks import batches
from memcore.train import Config, evaluate, run
from memcore.train.learners import new_learner
from memcore.train.runs.checkpoints import Checkpoints
from memcore.train.runs.sitting import monitored
from train.small import assert_same, lines

pytestmark = [pytest.mark.backend("jax"), pytest.mark.requires("optax", "grain", "orbax")]

LOSSES = {2: 1.0, 4: 0.25, 6: 0.5, 8: 0.75, 10: 0.5}


@pytest.fixture
def short(config) -> Config:
    """Ten steps, a check after every second."""
    return replace(config, steps=10, batch_size=20, validate_every=2, evaluate_rows=20)


@pytest.fixture
def judged(monkeypatch):
    """Checks whose loss is that of `LOSSES`, by their number; the metric stays what it is."""

    def check(learner, task, split, *how):
        values, here = evaluate(learner, task, split, *how), iter(LOSSES.values())
        count[split] = count.get(split, 0) + 1
        if split == "test":
            return values
        return {**values, "loss": [*here][count[split] - 1]}

    count = {}
    monkeypatch.setattr("memcore.train.runs.sitting.evaluate", check)


def test_the_best_check_is_tested_and_saved(short, tmp_path, console, judged):
    folder = tmp_path / "run"
    summary = run(short, folder, console)
    assert (summary.steps, summary.best_step, summary.validation_loss) == (10, 4, 0.25)
    assert "10, best after 4" in console.export_text()
    kept = sorted(int(path.name) for path in (folder / "checkpoints").iterdir())
    assert kept == [4, 8, 10]
    learner = new_learner(short)
    checkpoints = Checkpoints(folder / "checkpoints", print)
    assert checkpoints.restore(learner, batches(short.task, batch_size=20)).best == (4, 0.25)
    last = learner.params
    assert checkpoints.use(4, learner)
    _, saved = memcore.load(folder / "model.safetensors")
    jax.tree.map(np.testing.assert_array_equal, saved, learner.params)
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (saved, last)), strict=True))
    tested = evaluate(learner, short.task, "test", 20, 0, 20)
    assert tested["loss"] == summary.test_loss


def test_patience_counts_from_the_best_check(short, tmp_path, console, judged):
    summary = run(replace(short, patience=2), tmp_path / "run", console)
    assert (summary.steps, summary.best_step) == (8, 4)


def test_the_best_outlives_three_checkpoints_and_an_interruption(
    short, tmp_path, console, stop_after, monkeypatch, judged
):
    many = replace(short, checkpoint_every=1)
    stop_after(9)
    assert run(many, tmp_path / "run", console) is None
    kept = sorted(int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == [4, 7, 8, 9]
    assert run(many, tmp_path / "run", console).best_step == 4


def test_another_order_of_sittings_has_the_same_best(short, tmp_path, console, stop_after):
    whole = run(short, tmp_path / "whole", console)
    stop_after(5)
    assert run(short, tmp_path / "parts", console) is None
    assert run(short, tmp_path / "parts", console).best_step == whole.best_step
    assert_same(tmp_path / "parts", tmp_path / "whole")


def test_a_damaged_best_checkpoint_leaves_the_last_one(short, tmp_path, console, judged):
    def killed(*results):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memcore.train.runs.sitting.finish", killed)
        with pytest.raises(KeyboardInterrupt):
            run(short, tmp_path / "run", console)
    for path in (tmp_path / "run" / "checkpoints" / "4" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    assert run(short, tmp_path / "run", console).best_step == 10
    assert "checkpoint 4" in console.export_text()


def test_what_is_monitored(config):
    values = {"loss": 0.5, "accuracy": 0.75, "mse": 2.0}
    assert monitored(config, values) == 0.5
    assert monitored(replace(config, monitor="metric"), values) == -0.75
    with pytest.raises(ValueError, match="monitor is 'accuracy', expected one of loss, metric"):
        replace(config, monitor="accuracy")


def test_metrics_have_rates_norms_and_times(short, tmp_path, console):
    rate = short.optimizer.learning_rate
    run(short, tmp_path / "run", console)
    found = lines(tmp_path / "run")
    train = [line for line in found if line["split"] == "train"]
    assert [set(line) for line in train] == [
        {"step", "split", "loss", "accuracy", "learning_rate", "gradient_norm", "update_norm"}
    ] * 10
    rates = [line["learning_rate"] for line in train]
    assert rates[0] == 0 and max(rates) == pytest.approx(rate) == rates[1]
    assert train[0]["update_norm"] == 0 and all(line["update_norm"] > 0 for line in train[1:])
    assert all(line["gradient_norm"] > 0 for line in train)
    text = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert text.count('"seconds"') == 5 and '"tokens_per_second"' in text
