"""Characters of a text: rows, splits, vocabulary, and what is said where the file is wrong."""

import os

import pytest

from memcore.tasks import SPLITS, Text
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
    with pytest.raises(ValueError, match="path is None, expected a text file .*task-options.path"):
        Text().source("train")
    with pytest.raises(FileNotFoundError, match="path is .*nowhere.txt, where there is no file"):
        Text(path=str(tmp_path / "nowhere.txt")).source("train")


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\xfa" * 100)
    with pytest.raises(ValueError, match="binary is not text in UTF-8"):
        Text(path=str(path)).source("train")


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
