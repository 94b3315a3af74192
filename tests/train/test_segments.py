"""Truncated backpropagation with the carried state, averages, noise, precision, early end."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, replace

import jax
import numpy as np
import pytest

import memcore
from memcore import tasks
from memcore.tasks import RepeatFirst, batches
from memcore.tasks.base.streams import Segments, order, side_by_side
from memcore.tasks.recall.repeat_first import RepeatFirstRows
from memcore.train import Config, evaluate, network, run
from memcore.train.learners import average, new_learner
from memcore.train.runs.checkpoints import Checkpoints
from memcore.train.runs.loop import Training
from tasks.idx_files import write_part
from train.conftest import deliver
from train.small import assert_same, lines

pytestmark = pytest.mark.backend("jax")

FRAMEWORKS = ("core", "equinox", "linen", "nnx")


class Table(memcore.Model):
    """A model of tokens that does not say in which dtype it computes."""

    input_ndim = 0


def test_segments_are_the_rows_one_behind_the_other():
    task = RepeatFirst(length=8, episodes=2, symbols=3)
    stream = Segments(task, "train", batch_size=4, size=3, seed=1)
    batches = [next(stream) for _ in range(6)]
    source = task.source("train")
    order = np.random.RandomState([1, 0]).permutation(len(source))
    for number, row in enumerate(order[:8]):
        parts = [batch for batch in batches[3 * (number // 4) : 3 * (number // 4) + 3]]
        for key, value in source[int(row)].items():
            whole = np.concatenate([part[key][number % 4] for part in parts])
            np.testing.assert_array_equal(whole[:8], value)
            assert not np.any(whole[8:])


def test_segments_go_on_where_they_were():
    task = RepeatFirst(length=8, episodes=2, symbols=3)
    how = {"batch_size": 4, "size": 3}
    stream, other = (Segments(task, "train", **how) for _ in range(2))
    for _ in range(5):
        next(stream)
    other.set_state(stream.get_state())
    for _ in range(4):
        jax.tree.map(np.testing.assert_array_equal, next(stream), next(other))


def test_a_batch_of_segments_that_does_not_fit():
    task = RepeatFirst(length=8, episodes=2, symbols=3)
    with pytest.raises(ValueError, match="batch_size is 100000, expected 1 to 65536"):
        Segments(task, "train", batch_size=100_000, size=3)
    with pytest.raises(ValueError, match="size of a segment is 0"):
        Segments(task, "train", batch_size=1, size=0)


def test_streaming_evaluates_to_the_same(config):
    learner = new_learner(config)
    whole = evaluate(learner, config.task, "validation", 100)
    for segment in (3, 8, 20):
        other = new_learner(replace(config, segment=segment, batch_size=100))
        streamed = evaluate(other, config.task, "validation", 100, segment)
        assert streamed == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_state_is_carried_between_segments(config, framework):
    """The sums of a row's segments are those of the row, as long as nothing is learned in between."""
    task = config.task
    how = replace(config, framework=framework, segment=3, batch_size=50)
    how = replace(how, optimizer=replace(how.optimizer, learning_rate=1e-30))
    learner, stream = new_learner(how), Segments(task, "train", batch_size=50, size=3)
    loss = sum(float(learner.step(next(stream))["loss"]) for _ in range(3))
    stream.set_state({"batch": 0, "segment": 0})
    parts = [next(stream) for _ in range(3)]
    row = {key: np.concatenate([part[key] for part in parts], axis=1) for key in parts[0]}
    whole = new_learner(replace(config, framework=framework, batch_size=50))
    assert loss == pytest.approx(float(whole.evaluate(row)["loss"]), rel=1e-4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_average_of_the_parameters(config, framework):
    decay = 0.25
    how = replace(config, framework=framework, batch_size=20)
    how = replace(how, optimizer=replace(how.optimizer, average=decay))
    learner, stream = new_learner(how), Segments(config.task, "train", batch_size=20, size=8)
    want = jax.tree.map(np.asarray, learner.params)
    for count in range(1, 4):
        learner.step(next(stream))
        d = min(decay, (1 + count) / (10 + count))
        want = jax.tree.map(lambda a, p, d=d: d * a + (1 - d) * p, want, learner.params)
    got = average(learner)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)  # noqa: E731
    jax.tree.map(close, got, want)
    learner.params = got
    jax.tree.map(np.testing.assert_array_equal, learner.params, got)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_run_in_segments_resumes_to_the_same_end(
    config, tmp_path, console, stop_after, framework
):
    config = replace(config, framework=framework, batch_size=20, evaluate_rows=20)
    config = replace(config, segment=3, steps=7)
    if framework == "core":  # the optimizer is the same for all, and noise takes long to compile
        optimizer = replace(config.optimizer, noise=0.01, average=0.5)
        config = replace(config, optimizer=optimizer)
    whole = run(config, tmp_path / "whole", console)
    stop_after(5, framework=framework)
    assert run(config, tmp_path / "parts", console) is None
    resumed = run(config, tmp_path / "parts", console)
    assert resumed.test_loss == whole.test_loss
    assert_same(tmp_path / "parts", tmp_path / "whole")


def test_the_average_is_what_is_evaluated_and_saved(config, tmp_path, console):
    config = replace(config, optimizer=replace(config.optimizer, average=0.9), batch_size=20)
    summary = run(config, tmp_path / "run", console)
    learner = new_learner(config)
    data = batches(config.task, batch_size=20)
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints", print)
    assert checkpoints.restore(learner, data).step == 6
    _, saved = memcore.load(tmp_path / "run" / "model.safetensors")
    jax.tree.map(np.testing.assert_array_equal, saved, average(learner))
    plain = evaluate(learner, config.task, "test", 20)
    learner.params = average(learner)
    assert evaluate(learner, config.task, "test", 20)["loss"] == summary.test_loss != plain["loss"]
    checked = evaluate(learner, config.task, "validation", 20)["loss"]
    assert checked == summary.validation_loss


def test_fewer_rows_than_a_batch_are_streamed(config):
    learner = new_learner(replace(config, segment=3))
    few = evaluate(learner, config.task, "validation", 600, 3, rows=7)
    whole = evaluate(new_learner(config), config.task, "validation", 600, rows=7)
    assert few == pytest.approx(whole, rel=1e-5)


def test_streaming_needs_no_carried_state_of_the_learner(config):
    learner = new_learner(config)
    streamed = evaluate(learner, config.task, "validation", 100, 3)
    assert streamed == pytest.approx(evaluate(learner, config.task, "validation", 100), rel=1e-5)
    assert learner.carry is None


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of tiny MNIST files: 28 x 28 pixels, so 784 steps an image."""
    folder = tmp_path_factory.mktemp("mnist")
    write_part(folder, "train", 240)
    write_part(folder, "t10k", 60)
    return str(folder)


def test_a_long_row_in_segments_is_the_row_at_once(images):
    """MNIST Math at 784 x 1,000, with a model that remembers all of it; without its state it fails."""
    task = tasks.make("mnist_math", count=1_000, folder=images, running=True)
    model = network(task, memcore.LinearAttention(4, heads=1), layers=1, position=None)
    learner, size = new_learner(Config(task=task, model=model)), 10_007
    assert task.length == 784_000 and task.length % size
    whole = evaluate(learner, task, "validation", 1, rows=1)
    streamed = evaluate(learner, task, "validation", 1, segment=size, rows=1)
    assert streamed == pytest.approx(whole, rel=1e-5)
    total = {"loss": 0.0, "weight": 0.0}
    for batch in side_by_side(task, "validation", [0], size):
        learner.carry = None
        sums = learner.evaluate(batch)
        total = {key: value + float(sums[key]) for key, value in total.items()}
    assert total["weight"] == 500
    assert total["loss"] / 500 != pytest.approx(whole["loss"], rel=1e-3)


RESIDENT = """
import resource, sys
from pathlib import Path

import memcore
from memcore import tasks
from memcore.tasks.recall.repeat_first import RepeatFirstRows
from memcore.train import Config, evaluate, network
from memcore.train.learners import new_learner

status = Path("/proc/self/status")  # a process's own peak; elsewhere its parent's may be in it

def peak():
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.open() if line.startswith("VmHWM"))

for count in (100, 10_000):
    task = tasks.make("mnist_math", count=count, folder=sys.argv[1], running=True)
    model = network(task, memcore.LRU(4, state_size=4), layers=1, position=None)
    learner = new_learner(Config(task=task, model=model))
    evaluate(learner, task, "validation", 1, segment=20_011, rows=1)
    print(task.length, peak())
"""


def test_memory_is_that_of_a_segment_not_of_a_row(images):
    """Resident memory at its peak: MNIST Math at 784 x 10,000 beside 784 x 100."""
    command = [sys.executable, "-c", RESIDENT, images]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (short, before), (long, after) = (map(int, line.split()) for line in printed.splitlines())
    assert (short, long) == (78_400, 7_840_000)
    assert after < 1.1 * before


def test_an_epoch_is_shuffled_once():
    stream = Segments(RepeatFirst(length=8), "train", batch_size=32, size=8, seed=77)
    misses = order.cache_info().misses
    for _ in range(5):
        next(stream)
    assert order.cache_info().misses == misses


def test_noise_changes_the_way(config):
    losses = []
    for noise in (0.0, 0.1):
        learner = new_learner(replace(config, optimizer=replace(config.optimizer, noise=noise)))
        stream = Segments(config.task, "train", batch_size=20, size=8)
        losses.append([float(learner.step(next(stream))["loss"]) for _ in range(3)])
    assert losses[0][0] == losses[1][0] and losses[0][2] != losses[1][2]


def test_the_noise_follows_the_seed(config):
    config = replace(config, optimizer=replace(config.optimizer, noise=0.1))
    learners = [new_learner(replace(config, seed=seed)) for seed in (0, 1, 0)]
    stream = Segments(config.task, "train", batch_size=20, size=8)
    for learner in learners:
        learner.params = learners[0].params
    for _ in range(3):
        batch = next(stream)
        one, other, again = (float(learner.step(batch)["loss"]) for learner in learners)
    assert one == again != other


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_bfloat16_is_near(config, framework):
    stream = Segments(config.task, "train", batch_size=50, size=8)
    batch = next(stream)
    full = new_learner(config).step(batch)
    learner = new_learner(replace(config, framework=framework, precision="bfloat16"))
    low = learner.step(batch)
    assert float(low["loss"]) == pytest.approx(float(full["loss"]), rel=2e-2)
    assert float(low["loss"]) != float(full["loss"])
    assert {leaf.dtype for leaf in jax.tree.leaves(learner.params)} == {np.dtype("float32")}


@pytest.mark.parametrize("framework", ["core", "nnx"])
def test_bfloat16_on_tokens(config, framework):
    """What follows from the embedding is rounded; parameters, optimizer and carried state are not."""
    task = replace(config.task, tokens=True)
    config = replace(config, task=task, model=replace(config.model, tokens=True), segment=3)
    config = replace(config, framework=framework, batch_size=50)
    learners = [new_learner(replace(config, precision=p)) for p in ("float32", "bfloat16")]
    stream = Segments(task, "train", batch_size=50, size=3)
    before = learners[1].params
    for _ in range(3):
        batch = next(stream)
        full, low = (float(learner.step(batch)["loss"]) for learner in learners)
        assert low == pytest.approx(full, rel=2e-2) and low != full
    low = learners[1]
    leaves = jax.tree.leaves((low.params, low.memory, low.carry))
    assert {str(leaf.dtype) for leaf in leaves} == {"float32", "int32"}
    changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), before, low.params)
    assert all(jax.tree.leaves(changed["encoder"]))
    ys = low.model.apply(low.params, batch["xs"])[1]
    assert str(ys.dtype) == "bfloat16"


def test_training_ends_when_nothing_gets_better(config, tmp_path, console):
    worse = replace(config.optimizer, learning_rate=1e-30)
    config = replace(config, steps=40, validate_every=2, patience=3, optimizer=worse)
    config = replace(config, checkpoint_every=5, batch_size=20)
    summary = run(config, tmp_path / "run", console)
    assert summary.steps < 40
    checkpoints = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert str(summary.steps) in checkpoints and summary.steps % config.checkpoint_every
    assert run(config, tmp_path / "run", console) == summary


def test_a_loss_that_is_no_number_is_null(config, tmp_path, console):
    """It is no lower loss either: training ends, and what is written is JSON."""
    wild = replace(config.optimizer, learning_rate=1e38, warmup=0.0)
    config = replace(config, steps=40, validate_every=2, patience=2, optimizer=wild, batch_size=20)
    summary = run(config, tmp_path / "run", console)
    assert summary.steps < 40 and np.isnan(summary.test_loss)
    written = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    refuse = {"parse_constant": pytest.fail}
    assert any(json.loads(line, **refuse)["loss"] is None for line in written)
    results = json.loads((tmp_path / "run" / "results.json").read_text(), **refuse)
    assert results["test_loss"] is None and results["train_loss"] is None
    assert np.isnan(run(config, tmp_path / "run", console).validation_loss)


def test_options_that_make_no_sense(config):
    task = replace(config.task, tokens=True)
    table = Table(task.in_features)
    with pytest.raises(ValueError, match="precision is 'bfloat16', expected 'float32' for a model"):
        replace(config, task=task, model=table, precision="bfloat16")
    with pytest.raises(ValueError, match="precision is 'half', expected one of float32, bfloat16"):
        replace(config, precision="half")
    with pytest.raises(ValueError, match="segment is -1, expected 0 or more"):
        replace(config, segment=-1)
    with pytest.raises(ValueError, match="average is 1, expected a decay"):
        replace(config.optimizer, average=1)


@dataclass(frozen=True)
class Late(RepeatFirst):
    """Rows of which the last step alone asks, or none."""

    silent: bool = False

    def source(self, split):
        return LateRows(self, super().source(split))


@dataclass(frozen=True)
class LateRows:
    task: Late
    rows: RepeatFirstRows

    def __len__(self):
        return 100

    def __getitem__(self, index, /):
        weights = np.zeros(self.task.length, np.float32)
        weights[-1] = not self.task.silent
        return {**self.rows[index], "weights": weights}


def late(config, **changes):
    task = Late(length=8, episodes=2, symbols=3, **changes)
    return replace(config, task=task, segment=2, batch_size=20, evaluate_rows=20)


def test_a_step_is_an_update(config, tmp_path, console):
    """One segment in four teaches: the rate still goes its whole way, and every step is in the metrics."""
    config = replace(late(config), optimizer=replace(config.optimizer, warmup=0.0))
    training = Training(config, tmp_path / "run", console)
    assert training.run().steps == 6
    count = [leaf for leaf in jax.tree.leaves(training.learner.memory) if leaf.dtype == "int32"]
    assert [int(leaf) for leaf in count] == [6, 6]  # of Adam, and of the schedule
    found = lines(tmp_path / "run")
    assert [line["step"] for line in found if line["split"] == "train"] == [1, 2, 3, 4, 5, 6]
    assert training.data.get_state() == {"batch": 5, "segment": 4}


def test_segments_that_ask_nothing_carry_the_state(config, tmp_path, console, stop_after):
    """A run that stops amid them goes on to the same end."""
    run(late(config), tmp_path / "whole", console)
    stop_after(2)
    assert run(late(config), tmp_path / "parts", console) is None
    run(late(config), tmp_path / "parts", console)
    assert_same(tmp_path / "parts", tmp_path / "whole")


def test_an_interruption_need_not_wait_for_an_update(config, tmp_path, console, monkeypatch):
    plain = Segments.__next__

    def interrupted(self):
        if self.get_state() == {"batch": 1, "segment": 1}:
            deliver(signal.SIGINT)
        return plain(self)

    with monkeypatch.context() as patch:
        patch.setattr(Segments, "__next__", interrupted)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        assert run(late(config), tmp_path / "parts", console) is None
    assert "interrupted after step 1" in console.export_text()
    run(late(config), tmp_path / "parts", console)
    run(late(config), tmp_path / "whole", console)
    assert_same(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("segment", [0, 2])
def test_a_run_that_would_never_update_is_refused(config, tmp_path, console, segment):
    config = replace(late(config, silent=True), segment=segment)
    with pytest.raises(ValueError, match="the train split of repeat_first asks for nothing in"):
        run(config, tmp_path / "run", console)
    assert not (tmp_path / "run").exists()
