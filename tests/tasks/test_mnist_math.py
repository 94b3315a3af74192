"""MNIST Math: rows read back image by image, segments, memory, and what is refused."""

import itertools
import tracemalloc

import numpy as np
import pytest

from memcore.tasks import Digits, MNISTMath, batches
from memcore.tasks.base.words import words
from memcore.tasks.images import glyphs, mnist_math
from memcore.tasks.images.deciles import deciles
from tasks.digit_rows import Reader, images_of, operator
from tasks.test_deciles import cases, exact_deciles

pytestmark = pytest.mark.requires("sklearn")


@pytest.fixture(autouse=True)
def no_folder_from_outside(monkeypatch):
    monkeypatch.delenv("MEMCORE_DATA", raising=False)


@pytest.fixture(scope="module")
def reader():
    rows = {split: Digits().source(split) for split in ("train", "validation", "test")}
    pools = {
        split: ([row["xs"][:, 0] for row in source], [row["targets"][0] for row in source])
        for split, source in rows.items()
    }
    return Reader(pools)


def running_results(row, split, reader):
    """The result after each digit, by plain Python."""
    total, results, sign = 0, [], "+"
    images = images_of(row, 8)
    for place, image in enumerate(images):
        if (len(images) - place) % 2 == 0:
            sign = operator(image, ["+", "-"])
        else:
            digit = reader.digit(image, split)
            total += digit if sign == "+" else -digit
            results.append(total)
    return results


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize(("count", "rows"), [(5, 40), (100, 3)])
def test_targets_are_the_decile_of_the_running_result(count, rows, split, reader):
    nine = exact_deciles(cases(3, 1)) if count == 5 else deciles(50)
    for index in range(rows):
        row = MNISTMath(count=count).source(split)[index]
        every = MNISTMath(count=count, running=True).source(split)[index]
        expected, ends, total = [], [], 0
        results = iter(running_results(row, split, reader))
        for image in range(count):
            expected += [sum(decile < total for decile in nine)] * 63
            if (count - image) % 2 == 1:
                total = next(results)
                ends.append(64 * image + 63)
            expected.append(sum(decile < total for decile in nine))
        np.testing.assert_array_equal(row["targets"], expected)
        assert row["starts"].nonzero()[0].tolist() == [0]
        assert row["weights"].nonzero()[0].tolist() == [64 * count - 1]
        assert every["weights"].nonzero()[0].tolist() == ends
        assert row["weights"].max() == every["weights"].max() == 1
        for key in ("xs", "starts", "targets"):
            np.testing.assert_array_equal(row[key], every[key])


def test_final_classes_come_as_often_as_their_probability():
    counts, nine = cases(3, 1), deciles(3, 1)
    probability = np.zeros(10)
    for total, count in counts.items():
        probability[sum(decile < total for decile in nine)] += count / 20**3
    source = MNISTMath().source("train")
    found = np.bincount([source[i]["targets"][-1] for i in range(3_000)], minlength=10) / 3_000
    assert abs(found - probability).max() < 4 * np.sqrt(0.12 * 0.88 / 3_000)


def test_operators_are_noisy_each_in_its_own_way():
    images = images_of(MNISTMath(count=100).source("train")[0], 8)[::2]
    assert len(np.unique(images, axis=0)) == 50
    plus = np.array([image for image in images if operator(image, ["+", "-"]) == "+"])
    assert 10 < len(plus) < 40
    ink = glyphs.glyph("+", 8)
    assert abs(plus[:, ink].mean() - 192 / 255) < 0.03
    # Where there is none the noise is cut off at zero: its mean is that of max(0, -35 ... 35).
    assert abs(plus[:, ~ink].mean() - sum(range(36)) / 71 / 255) < 0.01


def test_mnist_is_read_from_a_folder(mnist_folder):
    task = MNISTMath(folder=str(mnist_folder))
    assert task.length == 5 * 784
    row = task.source("test")[0]
    images = images_of(row, 28)
    pool = task.pool("test")
    inputs = (pool.images / np.float32(255)).astype(np.float32)
    labels = [int(pool.labels[(inputs == image).all(axis=1)][0]) for image in images[::2]]
    signs = [1 if operator(image, ["+", "-"]) == "+" else -1 for image in images[1::2]]
    total = labels[0] + signs[0] * labels[1] + signs[1] * labels[2]
    assert row["targets"][-1] == sum(decile < total for decile in deciles(3, 1))


@pytest.mark.parametrize("size", [1_000, 127, 128, 64, 9_999])
def test_segments_one_behind_the_other_are_the_row(size):
    task = MNISTMath(count=100, running=True, seed=3)
    whole, segments = task.source("test")[5], list(task.segments("test", 5, size))
    assert [len(segment["xs"]) for segment in segments[:-1]] == [size] * (len(segments) - 1)
    for key, value in whole.items():
        np.testing.assert_array_equal(np.concatenate([s[key] for s in segments]), value)


def test_a_word_is_the_same_whatever_was_read_before():
    whole = words(7, "test", 3, 1, 0, 100)
    np.testing.assert_array_equal(words(7, "test", 3, 1, 60, 40), whole[60:])
    others = [(8, "test", 3, 1), (7, "train", 3, 1), (7, "test", 4, 1), (7, "test", 3, 0)]
    for other in others:
        assert not (words(*other, 0, 100) == whole).any()


def test_the_longest_row_comes_in_segments_only():
    task = MNISTMath(count=1_000_000, running=True)
    assert task.length == 64_000_000
    message = "has 64,000,000 steps, expected at most 10,000,000 in one piece: use task.segments"
    with pytest.raises(ValueError, match=message):
        task.source("test")[0]
    with pytest.raises(ValueError, match="in one piece"):
        next(batches(task, batch_size=1))
    segments = list(itertools.islice(task.segments("test", 3, 4_096), 3))
    assert [segment["starts"].sum() for segment in segments] == [1, 0, 0]
    assert all(segment["weights"].sum() == 32 for segment in segments)


def test_memory_does_not_grow_with_the_row(mnist_folder):
    peaks = {count: peak(count, mnist_folder) for count in (100, 10_000)}
    assert abs(peaks[10_000] / peaks[100] - 1) < 0.1


def peak(count, folder):
    """The greatest memory in use while a row is read, in bytes; what is kept is read before."""
    task = MNISTMath(count=count, folder=str(folder))
    assert task.length == 784 * count
    next(task.segments("test", 0, 8_192))
    tracemalloc.start()
    steps = sum(len(segment["xs"]) for segment in task.segments("test", 0, 8_192))
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert steps == task.length
    return used


def test_the_numbers_are_the_same_on_every_machine():
    row = MNISTMath(count=100).source("train")[11]
    # Scans have 17 shades and operators 256: both are whole multiples of 1 / 4080.
    shades = np.rint(row["xs"][:, 0] * 4080).astype(np.int64)
    assert int((shades * (1 + np.arange(len(shades)))).sum()) == PINNED
    assert row["targets"][63::128].tolist()[:12] == TARGETS


PINNED = 21648972886
TARGETS = [4, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 1]


def test_another_seed_and_another_index_give_another_row():
    rows = [MNISTMath(seed=s).source("train")[i]["xs"] for s, i in [(0, 0), (0, 1), (1, 0)]]
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(rows, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 7}, "count is 7, expected one of 5, 100, 1000, 10000, 1000000 images"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
        ({"images": "x"}, "images is 'x', expected one of auto, mnist, digits"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MNISTMath(**options)


def test_files_that_are_missing_or_lack_a_digit_are_named(tmp_path, mnist_folder):
    with pytest.raises(FileNotFoundError, match="no folder .*nowhere"):
        MNISTMath(folder=str(tmp_path / "nowhere")).source("train")
    task = MNISTMath(folder=str(mnist_folder), from_t10k=True)
    with pytest.raises(ValueError, match="the split has no image of a .*, expected every digit"):
        task.source("validation")[0]


def test_sizes_of_the_splits():
    for count, held in mnist_math.COUNTS.items():
        task = MNISTMath(count=count)
        assert len(task.source("train")) == 65_536
        assert len(task.source("validation")) == len(task.source("test")) == held
