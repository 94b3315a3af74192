"""Truncated backpropagation with the carried state, averages, noise, precision, early end."""

import tracemalloc
from dataclasses import replace

import jax
import numpy as np
import pytest

import memcore
from memcore import tasks
from memcore.tasks import RepeatFirst
from memcore.tasks.streams import Segments
from memcore.train import Config, evaluate, network, run
from memcore.train.learners import average, new_learner

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


def test_a_run_in_segments_resumes_to_the_same_end(config, tmp_path, console, stop_after):
    optimizer = replace(config.optimizer, noise=0.01, average=0.5)
    config = replace(config, segment=3, steps=7, optimizer=optimizer)
    whole = run(config, tmp_path / "whole", console)
    stop_after(5)
    assert run(config, tmp_path / "parts", console) is None
    resumed = run(config, tmp_path / "parts", console)
    assert resumed.test_loss == whole.test_loss
    for name in ("metrics.jsonl", "model.safetensors"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_segment_that_asks_nothing_teaches_nothing(config, framework):
    how = replace(config, framework=framework, segment=3, batch_size=20)
    learner, stream = new_learner(how), Segments(config.task, "train", batch_size=20, size=3)
    learner.step(next(stream))
    before = jax.tree.map(np.asarray, (learner.params, learner.memory))
    batch = next(stream)
    learner.step({**batch, "weights": 0 * batch["weights"]})
    jax.tree.map(np.testing.assert_array_equal, (learner.params, learner.memory), before)


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


def test_a_long_row_in_segments_is_the_row_at_once():
    """MNIST Math with 1,000 images of 64 pixels: 64,000 steps."""
    task = tasks.make("mnist_math", count=1_000, images="digits")
    model = network(task, memcore.LRU(8, state_size=4), layers=1, position=None)
    learner = new_learner(Config(task=task, model=model))
    streamed = evaluate(learner, task, "validation", 2, segment=4_096, rows=2)
    whole = evaluate(learner, task, "validation", 2, rows=2)
    assert streamed == pytest.approx(whole, rel=1e-4)


def test_memory_is_that_of_a_segment_not_of_a_row():
    """MNIST Math with 10,000 images of 64 pixels, in segments of 4,096 steps."""
    task = tasks.make("mnist_math", count=10_000, images="digits")
    model = network(task, memcore.LRU(8, state_size=4), layers=1, position=None)
    learner = new_learner(Config(task=task, model=model))
    for _ in range(2):  # the first time compiles, and finds the deciles
        tracemalloc.start()
        evaluate(learner, task, "validation", 1, segment=4_096, rows=1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    row = sum(x.nbytes for x in next(task.segments("validation", 0, 64)).values()) * 10_000
    assert peak < 0.1 * row


def test_noise_changes_the_way(config):
    losses = []
    for noise in (0.0, 0.1):
        learner = new_learner(replace(config, optimizer=replace(config.optimizer, noise=noise)))
        stream = Segments(config.task, "train", batch_size=20, size=8)
        losses.append([float(learner.step(next(stream))["loss"]) for _ in range(3)])
    assert losses[0][0] == losses[1][0] and losses[0][2] != losses[1][2]


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
    summary = run(config, tmp_path / "run", console)
    assert summary.steps < 40
    assert run(config, tmp_path / "run", console) == summary


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
