"""Sequential MNIST: reading IDX files, the splits, and what is said where files are wrong."""

import gzip
import sys
import types

import numpy as np
import pytest

from memcore import tasks
from memcore.tasks import SMNIST, Digits
from memcore.tasks.images import mnist
from tasks.idx_files import write_idx, write_part

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.fixture(autouse=True)
def no_folder_from_outside(monkeypatch):
    monkeypatch.delenv("MEMCORE_DATA", raising=False)


def test_splits_of_both_parts(mnist_folder):
    task = SMNIST(folder=str(mnist_folder))
    sizes = [len(task.source(split)) for split in ("train", "validation", "test")]
    assert sizes == [220, 20, 60]
    labels = [task.source("validation")[i]["targets"][-1] for i in range(20)]
    assert sorted(labels) == sorted([*range(10)] * 2)


def test_a_row_is_an_image_read_row_by_row(tmp_path):
    images = write_part(tmp_path, "t10k", 20)
    row = SMNIST(folder=str(tmp_path)).source("test")[13]
    np.testing.assert_array_equal(row["xs"][:, 0], np.float32(images[13].ravel()) / np.float32(255))
    assert (row["targets"] == 3).all()
    assert row["weights"][-1] == 1 and row["weights"].sum() == 1
    assert row["starts"][0] and row["starts"].sum() == 1


def test_permuted_is_one_fixed_order(mnist_folder):
    plain = SMNIST(folder=str(mnist_folder)).source("test")
    permuted = SMNIST(permuted=True, folder=str(mnist_folder)).source("test")
    order = np.random.RandomState(0).permutation(784)
    assert order[:5].tolist() == PERMUTATION_BEGINS
    for index in range(3):
        np.testing.assert_array_equal(permuted[index]["xs"], plain[index]["xs"][order])


PERMUTATION_BEGINS = [693, 85, 647, 392, 765]


def test_the_folder_from_the_environment(mnist_folder, monkeypatch):
    monkeypatch.setenv("MEMCORE_DATA", str(mnist_folder))
    assert len(SMNIST().source("test")) == 60


def test_a_folder_from_home_is_the_same_everywhere(mnist_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(mnist_folder.parent))
    task = SMNIST(folder=f"~/{mnist_folder.name}")
    assert task.resolved() == SMNIST(images="mnist", folder=str(mnist_folder))
    assert len(task.resolved().source("test")) == len(task.source("test"))
    monkeypatch.setenv("MEMCORE_DATA", f"~/{mnist_folder.name}")
    assert SMNIST().resolved() == task.resolved()


@pytest.mark.parametrize("name", ["smnist", "mnist_math", "mnist_list_ops"])
def test_the_title_says_which_images_they_are(mnist_folder, monkeypatch, name):
    """Also of a task that is packed, or whose folder the environment names; others have their name alone."""
    assert tasks.make(name).title == f"{name} (8x8 digits)"
    assert tasks.make(name, pack=2).resolved().title == f"{name} (8x8 digits)"
    assert tasks.make(name, folder=str(mnist_folder)).title == f"{name} (MNIST)"
    monkeypatch.setenv("MEMCORE_DATA", str(mnist_folder))
    assert tasks.make(name).title == f"{name} (MNIST)"
    assert tasks.make(name, images="digits").title == f"{name} (8x8 digits)"
    assert tasks.make("digits").title == "digits"
    of_t10k = tasks.make(name, folder=str(mnist_folder), from_t10k=True)
    assert of_t10k.title == f"{name} (MNIST's t10k)"


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_file_names_with_a_dot(tmp_path, suffix):
    """`t10k-images.idx3-ubyte`, as many copies of MNIST have them."""
    write_part(tmp_path, "t10k", 100, suffix)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert len(SMNIST(folder=str(tmp_path)).source("test")) == 100
    with pytest.raises(FileNotFoundError, match="from_t10k"):
        SMNIST(folder=str(tmp_path)).source("train")


def test_t10k_files_alone_serve_to_evaluate(tmp_path):
    write_part(tmp_path, "t10k", 100, ".gz")
    task = SMNIST(folder=str(tmp_path))
    assert len(task.source("test")) == 100
    lacks = r"lacks train-images-idx3-ubyte and train-labels-idx1-ubyte .*from_t10k"
    with pytest.raises(FileNotFoundError, match=lacks):
        task.source("train")


def test_three_splits_out_of_the_t10k_files(tmp_path):
    write_part(tmp_path, "t10k", 100)
    task = SMNIST(folder=str(tmp_path), from_t10k=True)
    sizes = [len(task.source(split)) for split in ("train", "validation", "test")]
    assert sizes == [72, 8, 20]


def test_a_missing_folder_and_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder .*nowhere, expected one with MNIST"):
        SMNIST(folder=str(tmp_path / "nowhere")).source("test")
    with pytest.raises(FileNotFoundError, match=f"lacks {IMAGES} and {LABELS}") as caught:
        SMNIST(folder=str(tmp_path)).source("test")
    assert "from_t10k" not in str(caught.value)


def truncate(folder):
    data = (folder / IMAGES).read_bytes()
    (folder / IMAGES).write_bytes(data[:-1])


def truncate_gzip(folder):
    data = gzip.compress((folder / IMAGES).read_bytes())
    (folder / IMAGES).unlink()
    (folder / f"{IMAGES}.gz").write_bytes(data[: len(data) // 2])


def not_gzip(folder):
    (folder / f"{IMAGES}.gz").write_bytes((folder / IMAGES).read_bytes())
    (folder / IMAGES).unlink()


WRONG = {
    "truncated": (truncate, "holds 15679 bytes after its header, expected 15680 for shape"),
    "truncated gzip": (truncate_gzip, r"images-idx3-ubyte\.gz is not a complete gzip file"),
    "not gzip": (not_gzip, "is not a complete gzip file: Not a gzipped file"),
    "empty": (lambda f: (f / IMAGES).write_bytes(b""), "begins with nothing, expected an IDX"),
    "labels for images": (
        lambda f: (f / IMAGES).write_bytes((f / LABELS).read_bytes()),
        "begins with 00000801, expected an IDX file of unsigned bytes with 3 axes: 00000803",
    ),
    "cut in its sizes": (
        lambda f: (f / IMAGES).write_bytes((f / IMAGES).read_bytes()[:9]),
        "ends after 9 bytes, within its header of 16 bytes",
    ),
    "no images": (
        lambda f: write_idx(f / IMAGES, np.zeros((0, 28, 28))),
        "images-idx3-ubyte has no images, expected some",
    ),
    "other images": (
        lambda f: write_idx(f / IMAGES, np.zeros((20, 8, 8))),
        r"has images of \(8, 8\), expected \(28, 28\)",
    ),
    "too few labels": (
        lambda f: write_idx(f / LABELS, np.zeros(19)),
        "has 19 labels, expected 20, as images",
    ),
    "a label out of range": (
        lambda f: write_idx(f / LABELS, np.full(20, 10)),
        "has a label 10, expected 0 to 9",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_named(tmp_path, case):
    write_part(tmp_path, "t10k", 20)
    spoil, message = WRONG[case]
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        SMNIST(folder=str(tmp_path)).source("test")


def test_online_through_datasets(monkeypatch):
    images = np.random.RandomState(0).randint(256, size=(30, 28, 28)).astype(np.uint8)
    asked = []

    def load_dataset(name, split):
        asked.append((name, split))
        return {"image": list(images), "label": list(range(10)) * 3}

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    mnist.from_hub.cache_clear()
    source = SMNIST(images="mnist").source("test")
    mnist.from_hub.cache_clear()
    assert asked == [("ylecun/mnist", "test")]
    assert len(source) == 30
    np.testing.assert_array_equal(
        source[7]["xs"][:, 0], images[7].ravel().astype(np.float32) / np.float32(255)
    )


def test_without_folder_or_datasets_both_ways_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    mnist.from_hub.cache_clear()
    ways = r"option folder, .*MEMCORE_DATA.* pip install datasets .*images=\"digits\""
    with pytest.raises(ImportError, match=ways):
        SMNIST(images="mnist").source("train")


@pytest.mark.requires("sklearn")
@pytest.mark.parametrize("options", [{}, {"images": "digits"}])
def test_without_a_folder_the_images_are_scikit_learns(options):
    task = SMNIST(**options)
    assert task.length == task.pixels == 64 and task.side == 8
    for split, size in {"train": 1293, "validation": 144, "test": 360}.items():
        source, digits = task.source(split), Digits().source(split)
        assert len(source) == len(digits) == size
        for key, value in digits[5].items():
            np.testing.assert_array_equal(source[5][key], value)
    order = np.random.RandomState(0).permutation(64)
    permuted = SMNIST(permuted=True, **options).source("test")
    np.testing.assert_array_equal(permuted[0]["xs"], Digits().source("test")[0]["xs"][order])


def test_a_folder_means_mnist(mnist_folder, monkeypatch):
    assert SMNIST(folder=str(mnist_folder)).length == 784
    monkeypatch.setenv("MEMCORE_DATA", str(mnist_folder))
    assert SMNIST().length == 784
    assert SMNIST(images="digits").length == 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": "svhn"}, "images is 'svhn', expected one of auto, mnist, digits"),
        ({"images": "digits", "folder": "x"}, "images is 'digits', expected 'mnist' with folder"),
        ({"images": "digits", "from_t10k": True}, "expected 'mnist' with folder or from_t10k"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(ValueError, match=message):
        SMNIST(**options)
