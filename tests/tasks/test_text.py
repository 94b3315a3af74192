"""A text: rows, splits, and what is said where the file is wrong."""

import os

import numpy as np
import pytest

from memcore.tasks import SPLITS, Text
from memcore.tasks.text.vocabulary import Characters
from tasks.rows import asked


@pytest.fixture
def book(tmp_path):
    """400 characters: 360 of a to i, with an ä, then 20 of a and x, then 20 of b."""
    path = tmp_path / "book.txt"
    text = "abcdefghiä" * 36 + "ax" * 10 + "b" * 20
    path.write_text(text, encoding="utf-8")
    return path, text


def test_rows_are_the_text(book):
    path, text = book
    task = Text(path=str(path), length=9)
    alphabet = "?abcdefghiä"
    assert task.in_features == task.out_features == len(alphabet)
    source = task.source("train")
    assert len(source) == 39
    read = "".join(alphabet[token] for i in range(39) for token in source[i]["xs"])
    assert read == text[: 39 * 9]
    for i in (0, 38):
        steps, answers = asked(source[i])
        assert steps == list(range(9))
        assert "".join(alphabet[token] for token in answers) == text[i * 9 + 1 : i * 9 + 10]


def test_no_character_is_in_two_splits(book):
    path, text = book
    source = Text(path=str(path), length=19).source("validation")
    assert len(source) == 1
    assert source[0]["xs"].tolist() == [1, 0] * 9 + [1]
    steps, answers = asked(source[0])
    assert steps == list(range(1, 19, 2)) and set(answers) == {1}
    test = Text(path=str(path), length=19).source("test")[0]
    assert set(test["xs"].tolist()) == set(test["targets"].tolist()) == {2}


def test_a_file_that_changes_is_read_again(book):
    path, _ = book
    assert Text(path=str(path)).in_features == 11
    path.write_text("ab" * 200, encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert Text(path=str(path)).in_features == 3


def test_without_a_path_or_a_file(tmp_path):
    with pytest.raises(ValueError, match="data is None, expected a text file .--data on"):
        Text().source("train")
    with pytest.raises(FileNotFoundError, match="path is .*nowhere.txt, where there is no file"):
        Text(path=str(tmp_path / "nowhere.txt")).source("train")


@pytest.mark.parametrize("size", [0, 1])
def test_a_file_without_a_text_is_named(tmp_path, size):
    path = tmp_path / "short.txt"
    path.write_text("a" * size)
    with pytest.raises(
        ValueError, match="short.txt has no characters for the train split, expected"
    ):
        Text(data=str(path)).source("train")


def test_a_file_that_is_no_text_has_bytes(tmp_path):
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\xfa" * 100)
    with pytest.raises(ValueError, match="binary is not text in UTF-8 .*tokenizer bytes"):
        Text(path=str(path)).source("train")
    row = Text(data=str(path), tokenizer="bytes", length=5).source("train")[0]
    assert row["xs"].tolist() == [0xFF, 0xFE, 0xFA, 0xFF, 0xFE]


def test_bytes_are_those_of_the_file(book):
    path, text = book
    task = Text(data=str(path), tokenizer="bytes", length=10)
    assert task.in_features == task.out_features == len(task.input_names) == 256
    source = task.source("train")
    read = b"".join(bytes(source[i]["xs"].tolist()) for i in range(len(source)))
    assert read == text[:360].encode()[: len(read)] and len(source) == (396 - 1) // 10
    assert all((source[i]["bytes"] == 1).all() for i in range(len(source)))


def test_lines_end_as_they_do_in_the_file(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"a\r\nb\r\n" * 100)
    assert Text(data=str(path)).vocabulary.to_json().count(r"\r") == 1


def test_a_character_counts_its_bytes(book):
    path, _ = book
    row = Text(data=str(path), length=10).source("train")[0]
    assert row["bytes"].tolist() == [1] * 8 + [2, 1]  # b to i, ä, a
    sizes = Characters.of("aä€𝄞").encode("aä€𝄞").sizes
    assert sizes.tolist() == [1, 2, 3, 4]


def test_all_that_is_held_out_counts_once(book):
    path, text = book
    for tokenizer in ("characters", "bytes"):
        source = Text(data=str(path), length=8, tokenizer=tokenizer).source("test")
        rows = [source[i] for i in range(len(source))]
        assert len(rows) == 3 and sum(row["weights"].sum() for row in rows) == len("b" * 19)
        assert not rows[-1]["weights"][3:].any() and not rows[-1]["bytes"][3:].any()
        assert all(len(row["xs"]) == 8 and row["starts"].tolist() == [1] + [0] * 7 for row in rows)


def test_held_out_text_of_its_own(book, tmp_path):
    path, text = book
    other = tmp_path / "other.txt"
    other.write_text("a" * 30 + "b" * 20 + "ü" * 10, encoding="utf-8")
    task = Text(data=str(path), validation_data=str(other), length=9)
    assert task.in_features == len("?abcdefghiäx")  # of all of the text
    assert len(task.source("train")) == 399 // 9
    for split, part in (("validation", "a" * 30), ("test", "b" * 20)):
        source = task.source(split)
        rows = [source[i] for i in range(len(source))]
        read = np.concatenate([row["targets"][row["weights"] > 0] for row in rows])
        assert task.vocabulary.decode(read.tolist()) == part[1:]
    with pytest.raises(FileNotFoundError, match="validation_data is nowhere, where there is no"):
        Text(data=str(path), validation_data="nowhere").source("test")


def test_two_names_of_one_file(book):
    path, _ = book
    for split in SPLITS:
        one, other = (Text(**{name: str(path)}, length=9) for name in ("path", "data"))
        for key, values in one.source(split)[0].items():
            np.testing.assert_array_equal(values, other.source(split)[0][key])
    with pytest.raises(ValueError, match="path is 'a', expected none beside data, 'b'"):
        Text(path="a", data="b")


def test_a_vocabulary_that_is_kept_reads_other_texts(book, tmp_path):
    path, _ = book
    task, kept = Text(data=str(path)), tmp_path / "tokenizer.json"
    kept.write_text(task.kept("tokenizer"), encoding="utf-8")
    other = tmp_path / "other.txt"
    other.write_text("xyzab" * 100, encoding="utf-8")
    read = Text(data=str(other), tokenizer=str(kept), length=5)
    assert read.in_features == task.in_features == 11
    assert read.source("train")[1]["xs"].tolist() == [0, 0, 0, 1, 2]
    path.unlink()
    assert Text(data=str(path), tokenizer=str(kept)).in_features == 11
    with pytest.raises(FileNotFoundError, match="tokenizer is nowhere, expected characters, bytes"):
        Text(data=str(path), tokenizer="nowhere").in_features  # noqa: B018


@pytest.mark.parametrize("split", SPLITS)
def test_a_text_that_is_too_short(tmp_path, split):
    path = tmp_path / "short.txt"
    path.write_text("abcde" * 4, encoding="utf-8")
    size = {"train": 18}.get(split, 1)
    message = f"length is 18, expected below {size}, the characters of the {split} split"
    with pytest.raises(ValueError, match=message):
        Text(path=str(path), length=18).source(split)


def test_a_length_that_makes_no_sense():
    with pytest.raises(ValueError, match="length is 0, expected 1 or more"):
        Text(length=0)


def test_a_path_from_home_is_the_same_everywhere(book, monkeypatch):
    path, _ = book
    monkeypatch.setenv("HOME", str(path.parent))
    task = Text(path="~/book.txt")
    assert task.resolved() == Text(path=str(path))
    assert task.in_features == task.resolved().in_features == 11
