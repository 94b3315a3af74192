"""What every task promises: its format, its splits, its batches."""

import json
import subprocess
import sys

import numpy as np
import pytest

from memcore import tasks

pytestmark = pytest.mark.requires("grain", "sklearn")

SMALL = {
    "digits": {},
    "repeat_first": {"length": 12, "episodes": 3},
    "smnist": {"from_t10k": True},
}


@pytest.fixture(params=sorted(tasks.tasks))
def task(request: pytest.FixtureRequest, mnist_folder):
    options = dict(SMALL[request.param])
    if request.param == "smnist":
        options["folder"] = str(mnist_folder)
    return tasks.make(request.param, **options)


def test_every_option_has_a_default():
    for task_class in tasks.tasks.values():
        assert task_class() == task_class()


def test_batches_have_the_uniform_format(task):
    batch = next(tasks.batches(task, batch_size=3))
    shape = (3, task.length)
    assert {key: value.shape for key, value in batch.items()} == {
        "xs": shape if task.tokens else (*shape, task.in_features),
        "starts": shape,
        "targets": shape,
        "weights": shape,
    }
    assert {key: str(value.dtype) for key, value in batch.items()} == {
        "xs": "int32" if task.tokens else "float32",
        "starts": "bool",
        "targets": "int32",
        "weights": "float32",
    }
    assert batch["starts"][:, 0].all()
    assert (batch["weights"].sum(axis=1) > 0).all()
    assert batch["targets"].min() >= 0 and batch["targets"].max() < task.out_features
    assert np.isfinite(batch["xs"]).all()


def test_splits_have_nothing_in_common(task):
    seen = {
        split: {tuple(row["xs"].ravel()) for row in rows(task.source(split), 300)}
        for split in tasks.SPLITS
    }
    assert not seen["train"] & seen["validation"]
    assert not seen["train"] & seen["test"]
    assert not seen["validation"] & seen["test"]


def rows(source, most):
    return [source[index] for index in range(min(most, len(source)))]


def test_an_example_is_the_same_each_time(task):
    source, again = task.source("validation"), task.source("validation")
    for key, value in source[3].items():
        np.testing.assert_array_equal(value, again[3][key])
    with pytest.raises(IndexError, match="index is -1"):
        source[-1]
    with pytest.raises(IndexError, match=f"expected 0 to {len(source) - 1}"):
        source[len(source)]


def test_batches_resume_exactly(task):
    running = tasks.batches(task, batch_size=5, seed=3)
    for _ in range(4):
        next(running)
    state = json.loads(json.dumps(running.get_state()))
    resumed = tasks.batches(task, batch_size=5, seed=3)
    resumed.set_state(state)
    for _ in range(3):
        assert_same(next(running), next(resumed))


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


def test_each_epoch_has_every_example_in_its_own_order():
    task = tasks.Digits()
    size = len(task.source("validation"))
    batches = tasks.batches(task, "validation", batch_size=size, seed=1)
    first, second = next(batches)["xs"], next(batches)["xs"]
    assert not np.array_equal(first, second)
    stored = next(tasks.epoch(task, "validation", batch_size=size))["xs"]
    for shuffled in (first, second):
        np.testing.assert_array_equal(ordered(shuffled), ordered(stored))
    other = next(tasks.batches(task, "validation", batch_size=size, seed=2))["xs"]
    assert not np.array_equal(first, other)


def ordered(xs):
    flat = xs.reshape(len(xs), -1)
    return flat[np.lexsort(flat.T)]


def test_an_epoch_ends_with_a_partial_batch(task):
    sizes = [len(batch["xs"]) for batch in tasks.epoch(task, "test", batch_size=7)]
    total = len(task.source("test"))
    assert sum(sizes) == total
    assert sizes == [7] * (total // 7) + ([total % 7] if total % 7 else [])


@pytest.mark.parametrize("size", [0, 361])
def test_a_batch_size_that_does_not_fit_is_refused(size):
    message = f"batch_size is {size}, expected 1 to 360, the size of the test split of digits"
    with pytest.raises(ValueError, match=message):
        tasks.batches(tasks.Digits(), "test", batch_size=size)
    with pytest.raises(ValueError, match=message):
        tasks.epoch(tasks.Digits(), "test", batch_size=size)


def test_an_unknown_split_is_refused(task):
    with pytest.raises(ValueError, match="split is 'dev', expected one of train, validation, test"):
        task.source("dev")


def test_an_unknown_task_is_answered_with_the_nearest_names():
    with pytest.raises(ValueError, match="unknown task 'digit'; did you mean digits?"):
        tasks.make("digit")
    with pytest.raises(ValueError, match=r"unknown task 'xyz' \(tasks: digits, repeat_first"):
        tasks.make("xyz")


def test_a_name_belongs_to_one_task():
    assert tasks.register("digits")(tasks.Digits) is tasks.Digits
    with pytest.raises(ValueError, match="name 'digits' is already the task Digits"):
        tasks.register("digits")(tasks.RepeatFirst)


def test_importing_tasks_loads_neither_grain_nor_scikit_learn():
    code = "import memcore.tasks, sys; print({'grain', 'sklearn', 'jax'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("grain", lambda: tasks.batches(tasks.RepeatFirst(), batch_size=1)),
        ("sklearn.datasets", lambda: tasks.Digits().source("train")),
    ],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, module, use):
    from memcore.tasks import digits

    digits._scans.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match='install the extra "train"'):
        use()
