"""What every task promises: its format, its splits, its batches."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from memcore import tasks
from tasks import own_data

pytestmark = pytest.mark.requires("grain", "sklearn")

SMALL = {
    "lorenz63": {"length": 12},
    "mackey_glass": {"length": 12},
    "repeat_first": {"length": 12, "episodes": 3},
    "smnist": {"from_t10k": True},
    "text": {"length": 20},
}
"""Options of tasks whose defaults are slow to make or that need files; others have none."""


@pytest.fixture(params=sorted(tasks.tasks))
def task(request: pytest.FixtureRequest, mnist_folder, text_file, tmp_path, monkeypatch):
    options = own_data.options(request.param, tmp_path, monkeypatch)
    options.update(SMALL.get(request.param, {}))
    if request.param == "smnist":
        options["folder"] = str(mnist_folder)
    if request.param == "text":
        options["path"] = str(text_file)
    return tasks.make(request.param, **options)


def test_every_option_has_a_default():
    for task_class in tasks.tasks.values():
        assert task_class() == task_class()


NUMBERS = {
    "cross_entropy": lambda task: (),
    "squared_hinge": lambda task: (),
    "mse": lambda task: (task.out_features,),
    "pose": lambda task: (9,),
}
"""The shape of one step's targets, by the task's loss."""


def test_batches_have_the_uniform_format(task):
    batch = next(tasks.batches(task, batch_size=3))
    shape, classes = (3, task.length), not NUMBERS[task.loss](task)
    assert {key: value.shape for key, value in batch.items()} == {
        "xs": shape if task.tokens else (*shape, task.in_features),
        "starts": shape,
        "targets": shape + NUMBERS[task.loss](task),
        "weights": shape,
        **({"bytes": shape} if task.metric == "bits_per_byte" else {}),
    }
    assert {key: str(value.dtype) for key, value in batch.items()} == {
        "xs": "int32" if task.tokens else "float32",
        "starts": "bool",
        "targets": "int32" if classes else "float32",
        "weights": "float32",
        **({"bytes": "float32"} if task.metric == "bits_per_byte" else {}),
    }
    assert batch["starts"][:, 0].all()
    assert (batch["weights"].sum(axis=1) > 0).all()
    if classes:
        assert batch["targets"].min() >= 0 and batch["targets"].max() < task.out_features
    if task.tokens:
        assert batch["xs"].min() >= 0 and batch["xs"].max() < task.in_features
    assert np.isfinite(batch["xs"]).all() and np.isfinite(batch["targets"]).all()


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


def test_segments_one_behind_the_other_are_the_example(task):
    whole = task.source("test")[2]
    for size in (1, 7, task.length, 10**9):
        segments = list(task.segments("test", 2, size))
        lengths = [len(segment["starts"]) for segment in segments]
        assert max(lengths) <= size and sum(lengths) == task.length
        assert_same(whole, joined(segments))
    with pytest.raises(ValueError, match="size of a segment is 0, expected 1 or more"):
        task.segments("test", 2, 0)
    with pytest.raises(IndexError, match="index is -1, expected 0 to"):
        task.segments("test", -1, 4)
    with pytest.raises(ValueError, match="split is 'dev'"):
        task.segments("dev", 0, 4)


def joined(examples):
    return {key: np.concatenate([one[key] for one in examples]) for key in examples[0]}


def test_every_task_packs_examples_in_a_row(task):
    packed = tasks.make(**tasks.to_config(task), pack=3)
    assert packed == tasks.Packed(task, 3) == tasks.make(**tasks.to_config(packed))
    assert tasks.make(**tasks.to_config(task)) == task
    for name in ("name", "loss", "metric", "tokens", "in_features", "out_features"):
        assert getattr(packed, name) == getattr(task, name)
    assert packed.length == 3 * task.length
    source, packed_source = task.source("test"), packed.source("test")
    assert len(packed_source) == len(source) // 3
    examples = [source[index] for index in (6, 7, 8)]
    assert_same(packed_source[2], joined(examples))
    assert packed_source[2]["starts"][:: task.length].all()
    for size in (5, 2 * task.length):
        segments = list(packed.segments("test", 2, size))
        assert max(len(segment["starts"]) for segment in segments) <= size
        assert_same(joined(segments), joined(examples))
    batch = next(tasks.batches(packed, "test", batch_size=2))
    assert batch["starts"].shape == (2, packed.length)


def test_packing_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="pack is 0, expected 1 or more"):
        tasks.make("digits", pack=0)
    packed = tasks.make("digits", pack=361)
    with pytest.raises(ValueError, match="pack is 361, expected 1 to 360, the size of the test"):
        packed.source("test")
    packed = tasks.make("digits", pack=10)
    with pytest.raises(IndexError, match="index is 36, expected 0 to 35"):
        packed.source("test")[36]
    with pytest.raises(IndexError, match="index is 36, expected 0 to 35"):
        packed.segments("test", 36, 4)
    with pytest.raises(ValueError, match="size of a segment is 0"):
        packed.segments("test", 0, 0)
    with pytest.raises(ValueError, match="batch_size is 37, expected 1 to 36, .* of digits"):
        tasks.batches(packed, "test", batch_size=37)


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
    with pytest.raises(ValueError, match="unknown task 'digit'; did you mean digits"):
        tasks.make("digit")
    with pytest.raises(ValueError, match=r"unknown task 'xyz' \(tasks: a5, array, copy, "):
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
    from memcore.tasks.images import digits

    digits.scans.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match='install the extra "train"'):
        use()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("parity", {"length": "x"}, "length is 'x', expected an integer"),
        ("parity", {"length": 3.5}, "length is 3.5, expected an integer"),
        ("parity", {"length": True}, "length is True, expected an integer"),
        ("parity", {"seed": 0.5}, "seed is 0.5, expected an integer"),
        ("parity", {"pack": 2.5}, "pack is 2.5, expected an integer"),
        ("parity", {"pack": "2"}, "pack is '2', expected an integer"),
        ("parity", {"pack": True}, "pack is True, expected an integer"),
        ("copy", {"items": None}, "items is None, expected an integer"),
        ("localization", {"length": 20.0}, "length is 20.0, expected an integer"),
        ("localization", {"turn": "a"}, "turn is 'a', expected a number"),
        ("localization", {"turn": float("nan")}, "turn is nan, expected 0 to"),
        ("needle", {"depth": "half"}, "depth is 'half', expected a number or None"),
        ("repeat_first", {"symbols": 4.0}, "symbols is 4.0, expected an integer"),
        ("mnist_math", {"seed": 1.5}, "seed is 1.5, expected an integer"),
        ("smnist", {"permuted": 1}, "permuted is 1, expected True or False"),
        ("smnist", {"folder": 3}, "folder is 3, expected a string or None"),
        ("text", {"path": 3}, "path is 3, expected a string or None"),
        ("text", {"tokenizer": 3}, "tokenizer is 3, expected a string"),
    ],
)
def test_an_option_of_another_type_is_refused(name, options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        tasks.make(name, **options)


def test_numbers_of_numpy_are_numbers():
    task = tasks.make("localization", length=np.int64(20), turn=np.float32(1.5), seed=np.int8(2))
    config = json.loads(json.dumps(tasks.to_config(task)))
    assert config == {"name": "localization", "length": 20, "turn": 1.5, "seed": 2}
    np.testing.assert_array_equal(
        tasks.make(**config).source("test")[0]["xs"], task.source("test")[0]["xs"]
    )


def test_a_path_is_a_string_in_a_configuration(tmp_path):
    """What was given as a path is written as JSON, and read again as the same task."""
    for name, option in (("text", "path"), ("smnist", "folder")):
        config = tasks.to_config(tasks.make(name, **{option: tmp_path}))
        assert json.loads(json.dumps(config))[option] == str(tmp_path)
        assert tasks.make(**config) == tasks.make(name, **{option: str(tmp_path)})
