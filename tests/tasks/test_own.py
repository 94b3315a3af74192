"""Tasks of one's own data: arrays, tables, Hugging Face data sets."""

import csv
import json
import sys

import numpy as np
import pytest

from memcore import tasks
from tasks.own_data import Rows, array_file, csv_file, pretend, texts

XS = np.arange(60, dtype=np.float32).reshape(10, 3, 2)


def every_row(task):
    found = {}
    for split in tasks.SPLITS:
        source = task.source(split)
        found[split] = [source[index] for index in range(len(source))]
    return found


def test_arrays_are_rows_of_a_task():
    targets = np.arange(30).reshape(10, 3) % 4
    weights = np.tile([0.0, 1.0, 0.5], (10, 1))
    task = tasks.ArrayTask(XS, targets, weights=weights)
    assert (task.in_features, task.out_features, task.length, task.tokens) == (2, 4, 3, False)
    assert (task.loss, task.metric) == ("cross_entropy", "accuracy")
    rows = every_row(task)
    assert {split: len(found) for split, found in rows.items()} == {
        "train": 8, "validation": 1, "test": 1,
    }  # fmt: skip
    seen = {int(row["xs"][0, 0]) // 6: row for found in rows.values() for row in found}
    assert sorted(seen) == list(range(10))
    for index, row in seen.items():
        np.testing.assert_array_equal(row["xs"], XS[index])
        np.testing.assert_array_equal(row["targets"], targets[index])
        assert row["weights"].tolist() == [0, 1, 0.5] and row["starts"].tolist() == [
            True,
            False,
            False,
        ]


def test_a_class_of_a_row_is_asked_for_at_its_end():
    task = tasks.ArrayTask(np.zeros((40, 5), int), np.arange(40) % 2, vocabulary=7)
    assert (task.tokens, task.in_features, task.out_features) == (True, 7, 2)
    for found in every_row(task).values():
        assert {row["targets"][-1] for row in found} == {0, 1}  # in every split, as in all
        assert all(row["weights"].tolist() == [0, 0, 0, 0, 1] for row in found)


def test_numbers_are_learned_by_their_squared_error():
    task = tasks.ArrayTask(XS[..., 0], XS)
    assert (task.in_features, task.out_features, task.loss, task.metric) == (1, 2, "mse", "mse")
    assert tasks.ArrayTask(XS, XS[..., 0]).out_features == 1


def test_a_target_of_minus_100_weighs_nothing():
    targets = np.tile([-100, 1, 0], (10, 1))
    row = tasks.ArrayTask(XS, targets).source("train")[0]
    assert row["weights"].tolist() == [0, 1, 1]
    nan = np.where(targets[..., None] < 0, np.nan, XS)
    task = tasks.ArrayTask(XS, nan, weights=targets >= 0)
    assert task.source("train")[0]["weights"].tolist() == [0, 1, 1]


def test_starts_are_where_they_were_given_and_at_the_front():
    starts = np.zeros((10, 3), int)
    starts[:, 2] = 1
    row = tasks.ArrayTask(XS, np.zeros((10, 3), int), starts).source("test")[0]
    assert row["starts"].tolist() == [True, False, True]


def test_equal_arrays_are_equal_tasks():
    one, same = (tasks.ArrayTask(XS, np.zeros((10, 3), int)) for _ in range(2))
    other = tasks.ArrayTask(XS, np.ones((10, 3), int))
    assert one == same and hash(one) == hash(same) and one != other
    config = json.loads(json.dumps(tasks.to_config(one)))
    with pytest.raises(ValueError, match="arrays that were in the memory of a program: save them"):
        tasks.make(**config).source("train")


INTS = np.zeros((10, 3), int)
WRONG = {
    "xs of one axis": ((np.zeros(3), INTS), "xs is float64 of shape (3,), expected ints (N, T)"),
    "words": ((np.full((10, 3), "a"), INTS), "xs is <U1 of shape (10, 3)"),
    "negative tokens": ((INTS - 1, INTS), "xs has the token -1, expected 0 or more"),
    "nan": ((np.where(XS == 8, np.nan, XS), INTS), "xs is not finite in row 1, step 1"),
    "other rows": ((XS, INTS[:9]), "targets is int64 of shape (9, 3), expected (10,), (10, 3), or"),
    "negative classes": ((XS, INTS - 1), "targets has the class -1, expected 0 or more, or -100"),
    "starts": ((XS, INTS, INTS[:, :2]), "starts has the shape (10, 2), expected (10, 3), as xs"),
    "weights": ((XS, INTS, None, INTS - 1.0), "weights has a number below 0"),
    "nan targets": ((XS, np.full((10, 3), np.nan)), "targets has a number that is not finite"),
}


@pytest.mark.parametrize("case", WRONG)
def test_arrays_that_make_no_sense_are_named(case):
    given, message = WRONG[case]
    with pytest.raises(ValueError) as error:
        tasks.ArrayTask(*given)
    assert str(error.value).startswith(message)


def test_too_few_classes_or_rows_are_refused():
    with pytest.raises(ValueError, match="classes is 2, expected 4 or more: the data has a 3"):
        tasks.ArrayTask(XS, INTS + 3, classes=2)
    with pytest.raises(ValueError, match="rows of the data is 2, expected 3 or more"):
        tasks.ArrayTask(XS[:2], INTS[:2]).source("train")


def test_a_file_of_arrays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    array_file(tmp_path / "rows.npz")
    task = tasks.make("array", data="rows.npz")
    assert task.title == "array (rows.npz)"
    there = task.resolved()
    assert (there.data, there.classes, there.vocabulary) == (str(tmp_path / "rows.npz"), 2, 0)
    np.savez(tmp_path / "rows.npz", xs=XS, targets=INTS + 2)
    assert task.out_features == 3  # read anew when the file has changed
    with pytest.raises(ValueError, match="classes is 2, expected 3 or more"):
        _ = there.out_features
    np.savez(tmp_path / "other.npz", xs=XS, labels=INTS)
    with pytest.raises(ValueError, match="other.npz holds labels, xs, expected xs and targets"):
        tasks.make("array", data="other.npz").source("train")
    whole = (tmp_path / "rows.npz").read_bytes()
    broken = bytearray(whole)
    broken[200:300] = bytes(100)
    np.save(tmp_path / "one.npy", XS)
    one = (tmp_path / "one.npy").read_bytes()
    for content in (b"no", b"", whole[:-30], bytes(broken), one):
        (tmp_path / "text.npz").write_bytes(content)
        with pytest.raises(ValueError, match="text.npz is not a file .npz of arrays"):
            tasks.make("array", data="text.npz").source("train")
    with pytest.raises(FileNotFoundError, match="data is none.npz, where there is no file"):
        tasks.make("array", data="none.npz").source("train")


def test_a_table_is_cut_into_rows_in_its_order(tmp_path):
    path = csv_file(tmp_path / "x.csv", steps=103)
    task = tasks.CSV(data=str(path), length=10)
    assert (task.in_features, task.out_features, task.input_names) == (2, 2, ("a", "b"))
    assert task.output_names == ("down", "up")
    rows = every_row(task)
    assert {split: len(found) for split, found in rows.items()} == {
        "train": 8, "validation": 1, "test": 1,
    }  # fmt: skip
    with path.open() as file:
        lines = list(csv.DictReader(file))
    row = rows["test"][0]
    np.testing.assert_allclose(row["xs"][:, 0], [float(line["a"]) for line in lines[90:100]])
    assert row["targets"].tolist() == [int(line["target"] == "up") for line in lines[90:100]]


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_columns_of_a_table(tmp_path):
    lines = [f"{i // 2},{i},{'' if i % 3 else i},{i / 2}" for i in range(12)]
    path = write(tmp_path / "x.csv", "who,value,count,half", *lines)
    task = tasks.CSV(data=path, target="count", episode="who", inputs="value", length=4)
    row = task.source("train")[0]
    assert row["starts"].tolist() == [True, False, True, False]
    assert row["weights"].tolist() == [1, 0, 0, 1] and row["targets"][3] == 3
    assert (task.in_features, task.out_features, task.loss) == (1, 10, "cross_entropy")
    numbers = tasks.CSV(data=path, target="count", numbers=True, length=4)
    assert (numbers.loss, numbers.out_features, numbers.in_features) == ("mse", 1, 3)
    several = tasks.CSV(data=path, target="half, value", inputs="who", length=4)
    assert (several.loss, several.output_names) == ("mse", ("half", "value"))
    assert several.source("train")[0]["targets"][3].tolist() == [1.5, 3]
    with_mark = write(tmp_path / "y.csv", "\ufeffwho,value,count,half", *lines)
    assert tasks.CSV(data=with_mark, target="who", inputs="value", length=4).out_features == 6


TABLES = {
    "no column": (["a,b", "1,2"], "has no column 'target', expected one of a, b"),
    "a word": (["a,target", *["1,1"] * 4, "x,1", *["1,1"] * 7], "has 'x' in line 6, column 'a'"),
    "a short line": (["a,target", "1,1", "1"], "has 1 cells in line 3, expected 2"),
    "nothing": (["a,target"], "has 1 lines, expected the names of columns and steps"),
    "short": (["a,target", *["1,1"] * 8], "length is 4, expected 2 or less"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_makes_no_sense_is_named(tmp_path, case):
    lines, message = TABLES[case]
    path = write(tmp_path / "x.csv", *lines)
    with pytest.raises(ValueError) as error:
        tasks.CSV(data=path, length=4).source("train")
    assert message in str(error.value)


def test_texts_of_hugging_face(monkeypatch):
    calls = pretend(monkeypatch, {"train": texts(100), "test": texts(20, seed=1)})
    task = tasks.HuggingFace(data="someone/texts", config="small", length=8)
    assert (task.in_features, task.out_features, task.tokens) == (257, 2, True)
    assert calls == [("someone/texts", "small")]
    assert [len(task.source(split)) for split in tasks.SPLITS] == [90, 10, 20]
    row, plain = task.source("test")[3], texts(20, seed=1)[3]
    count = min(8, len(plain["text"]))
    assert bytes((row["xs"][:count] - 1).tolist()).decode() == plain["text"][:8]
    assert np.flatnonzero(row["weights"]).tolist() == [count - 1]
    assert row["targets"][count - 1] == plain["label"]
    assert task.resolved().classes == 2 and task.title == "hugging_face (texts)"
    assert [task.input_names[token] for token in row["xs"][:count]] == list(plain["text"][:8])


def test_steps_of_hugging_face(monkeypatch):
    rows = [{"tokens": [1, 2, 3], "tags": [0, -100, 4]}, {"tokens": [5], "tags": [1]}] * 20
    splits = {"train": rows, "validation": rows[:4], "test": rows[:2], "unsupervised": rows}
    pretend(monkeypatch, splits)
    task = tasks.HuggingFace(data="x", inputs="tokens", target="tags", length=4)
    assert (task.in_features, task.out_features, task.resolved().vocabulary) == (6, 5, 6)
    assert [len(task.source(split)) for split in tasks.SPLITS] == [40, 4, 2]
    first, second = task.source("test")[0], task.source("test")[1]
    assert first["xs"].tolist() == [1, 2, 3, 0] and first["weights"].tolist() == [1, 0, 1, 0]
    assert second["targets"][0] == 1 and second["weights"].tolist() == [1, 0, 0, 0]


def test_images_and_numbers_of_hugging_face(monkeypatch):
    from PIL import Image

    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    pretend(monkeypatch, {"train": [{"image": image, "label": 1, "wave": [0.5, 1.5]}] * 30})
    task = tasks.HuggingFace(data="x", inputs="image", length=6)
    np.testing.assert_allclose(task.source("train")[0]["xs"][:, 0] * 255, np.arange(6), rtol=1e-6)
    waves = tasks.HuggingFace(data="x", inputs="wave", length=3)
    assert waves.source("train")[0]["xs"][:, 0].tolist() == [0.5, 1.5, 0]
    assert (waves.in_features, waves.tokens, waves.out_features) == (1, False, 2)


def test_what_a_data_set_of_hugging_face_lacks_is_said(monkeypatch):
    pretend(monkeypatch, {"test": Rows(texts(3))})
    with pytest.raises(ValueError, match="data is 'x', which has test, expected a split train"):
        tasks.HuggingFace(data="x").source("train")
    pretend(monkeypatch, {"train": Rows(texts(3))})
    with pytest.raises(ValueError, match="target is 'tag', expected a column of x: text, label"):
        tasks.HuggingFace(data="x", target="tag").source("train")
    pretend(monkeypatch, {})
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match="needs the package datasets: pip install datasets"):
        tasks.HuggingFace(data="x").source("train")
