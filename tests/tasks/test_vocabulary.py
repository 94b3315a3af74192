"""Vocabularies: a text as tokens and back, sizes in bytes, files, and pieces as they come."""

import sys

import numpy as np
import pytest

from memcore.tasks import Text
from memcore.tasks.text.vocabulary import Bytes, Characters, Tokenizer, as_they_come, of_json, read

TEXT = "Ärger über alles, für 5 € und 𝄞.\nÄrger über alles! "


def byte_pairs(path):
    """A file of a tokenizer of Hugging Face: pairs of bytes, of which 40 are joined."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=296, initial_alphabet=alphabet, show_progress=False, special_tokens=["<end>"]
    )
    made.train_from_iterator([TEXT * 20], trainer)
    made.save(str(path))
    return path


def words(path):
    """Another one: words without the white space between them."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = {word: i for i, word in enumerate(["[?]", "über", "alles", "für"])}
    made = Tokenizer(models.WordLevel(names, unk_token="[?]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.save(str(path))
    return path


@pytest.mark.parametrize("make", [Bytes, lambda: Characters.of(TEXT)])
def test_a_text_comes_back(make):
    vocabulary = make()
    assert_comes_back(vocabulary)
    assert_comes_back(of_json(vocabulary.to_json()))
    assert of_json(vocabulary.to_json()).to_json() == vocabulary.to_json()


def assert_comes_back(vocabulary):
    found = vocabulary.encode(TEXT)
    assert found.tokens.dtype == np.int32 and found.tokens.max() < len(vocabulary)
    assert len(vocabulary.names) == len(vocabulary)
    assert found.known.all() and found.sizes.sum() == len(TEXT.encode())
    assert len(found.sizes) == len(found.known) == len(found.tokens)
    assert vocabulary.decode(found.tokens.tolist()) == TEXT
    pieces = list(as_they_come(vocabulary, found.tokens.tolist()))
    assert "".join(pieces) == TEXT and len(pieces) > 10


@pytest.mark.requires("tokenizers")
def test_a_tokenizer_of_hugging_face(tmp_path):
    path = byte_pairs(tmp_path / "pairs.json")
    vocabulary = read(path, 0)
    assert_comes_back(vocabulary)
    assert 258 < len(vocabulary) <= 296 and len(vocabulary.encode(TEXT).tokens) < len(TEXT)
    assert vocabulary.to_json() == path.read_text(encoding="utf-8")
    text = tmp_path / "text.txt"
    text.write_text(TEXT * 40, encoding="utf-8")
    task = Text(data=str(text), tokenizer=str(path), length=7)
    source = task.source("train")
    row = np.concatenate([source[i]["xs"] for i in range(20)])
    assert task.vocabulary.decode(row.tolist()) == (TEXT * 40)[: len(task.vocabulary.decode(row))]
    assert task.in_features == len(vocabulary) and task.resolved() == task


@pytest.mark.requires("tokenizers")
def test_white_space_that_has_no_token_counts_as_well(tmp_path):
    found = read(words(tmp_path / "words.json"), 0).encode(" über alles \n")
    assert found.tokens.tolist() == [1, 2]
    assert found.sizes.tolist() == [len(" über".encode()), len(b" alles \n")]
    assert not len(read(words(tmp_path / "words.json"), 0).encode("").tokens)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match='needs tokenizers: install the extra "text"'):
        of_json("{}")
    assert len(of_json(Bytes().to_json())) == 256


def test_what_is_unknown():
    found = Characters.of("ab").encode("abc")
    assert found.tokens.tolist() == [1, 2, 0] and found.known.tolist() == [True, True, False]
    assert Characters("ab").decode([1, 0, 2]) == "a?b"


def test_bytes_that_are_no_character_do_not_hold_up_what_follows():
    tokens = [0xFF, *b"ab", 0xE2, 0x82, *b"c"]
    pieces = list(as_they_come(Bytes(), tokens))
    assert pieces == ["\ufffda", "b", "\ufffdc"]
    assert list(as_they_come(Bytes(), [0xE2, 0x82])) == ["\ufffd"]
    assert list(as_they_come(Bytes(), [0xFF] * 5)) == ["\ufffd", "\ufffd", "\ufffd" * 3]


def test_pieces_are_the_text_whatever_is_broken():
    rng = np.random.default_rng(0)
    parts = ["a", "ü", "€", "𝄞", "\ufffd"]
    for size in [*range(40)] * 5:
        whole = [part.encode() for part in rng.choice(parts, size)]
        tokens = [*b"".join(part[: rng.integers(1, 5)] for part in whole)]
        pieces = list(as_they_come(Bytes(), tokens))
        assert "".join(pieces) == Bytes().decode(tokens)
    whole = [0xFF] * 3 + [*"ü".encode()]
    assert "".join(as_they_come(Bytes(), whole)) == "\ufffd" * 3 + "ü"


@pytest.mark.requires("tokenizers")
def test_tokens_behind_others_keep_the_space_between_them(tmp_path):
    vocabulary = read(words(tmp_path / "words.json"), 0)
    assert list(as_they_come(vocabulary, [2, 3])) == ["alles", " für"]
    assert list(as_they_come(vocabulary, [2, 3], [1])) == [" alles", " für"]


@pytest.mark.requires("tokenizers")
def test_what_a_tokenizer_does_not_know_is_not_asked_for(tmp_path):
    from tokenizers import Tokenizer as Made
    from tokenizers import models

    found = read(words(tmp_path / "words.json"), 0).encode("über den für")
    assert found.tokens.tolist() == [1, 0, 3] and found.known.tolist() == [True, False, True]
    pieces = models.Unigram(
        [("a", 0.0), ("<unk>", -1.0), ("b", 0.0)], unk_id=1, byte_fallback=False
    )
    found = of_json(Made(pieces).to_str()).encode("axb")
    assert found.tokens.tolist() == [0, 1, 2] and found.known.tolist() == [True, False, True]
    assert read(byte_pairs(tmp_path / "pairs.json"), 0).encode(TEXT).known.all()


@pytest.mark.requires("tokenizers")
def test_a_tokenizer_made_for_batches_reads_the_whole_text(tmp_path):
    """Files of encoders say where a text is cut off, and how it is filled up."""
    from tokenizers import Tokenizer as Made

    made = Made.from_file(str(byte_pairs(tmp_path / "pairs.json")))
    made.enable_truncation(8)
    made.enable_padding(length=2000)
    vocabulary = of_json(made.to_str())
    assert_comes_back(vocabulary)
    assert_comes_back(of_json(vocabulary.to_json()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting property name"),
        ('{"memcore": "words"}', "memcore is 'words', expected 'bytes', or 'characters'"),
        ('{"memcore": "characters"}', "memcore is 'characters', expected"),
        ('{"memcore": "characters", "characters": "ba"}', "not each once, in the order"),
        ('{"memcore": "characters", "characters": "aa"}', "not each once, in the order"),
    ],
)
def test_a_file_that_holds_no_vocabulary(tmp_path, content, message):
    path = tmp_path / "tokenizer.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=f"tokenizer .*tokenizer.json holds no vocab.*{message}"):
        Text(data="x", tokenizer=str(path)).in_features  # noqa: B018


@pytest.mark.requires("tokenizers")
def test_a_file_of_something_else():
    with pytest.raises(ValueError, match="it is no tokenizer of Hugging Face: "):
        Tokenizer("[1, 2]")
