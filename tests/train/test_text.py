"""Runs on texts: their metric, and the vocabulary in their folders."""

import io
import json
import math
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

import memcore
from memcore.cli import main
from memcore.tasks import Packed, Text
from memcore.tasks.text.vocabulary import as_they_come, of_json
from memcore.train import Config, OptimizerOptions, network, run
from memcore.train.commands.generate import shown, until
from memcore.train.runs.folder import RunFolder

pytestmark = [
    pytest.mark.backend("jax"),
    pytest.mark.requires("tyro", "optax", "grain", "orbax", "matplotlib"),
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """2,400 letters, every third an ü."""
    path = tmp_path / "corpus.txt"
    letters = np.random.RandomState(0).choice(list("abcd"), size=(800, 2))
    path.write_text("".join(f"{a}{b}ü" for a, b in letters.tolist()), encoding="utf-8")
    return path


def trained(corpus: Path, folder: Path, *more: str) -> dict[str, object]:
    """The results of a short run by the command line."""
    how = "--task text --model gru --width 8 --layers 1 --steps 3 --batch-size 4 --validate-every 3"
    how += f" --position none --task-options.length 60 --segment 20 --data {corpus} --out {folder}"
    assert main(["train", *how.split(), *more]) == 0
    return json.loads((folder / "results.json").read_text())


def test_bits_per_byte_of_held_out_text(corpus, tmp_path, capsys):
    found = trained(corpus, tmp_path / "run")
    assert found["metric"] == "bits_per_byte" and found["task"] == "text (corpus.txt)"
    model, params = memcore.load(tmp_path / "run" / "model.safetensors")
    task = Text(data=str(corpus), length=60)
    source = task.source("test")
    bits = counted = 0.0
    for row in (source[i] for i in range(len(source))):
        _, ys = model.apply(params, row["xs"])
        chances = np.exp(ys) / np.exp(ys).sum(-1, keepdims=True)
        asked = row["weights"] > 0
        bits -= np.log2(chances[np.arange(60), row["targets"]])[asked].sum()
        counted += sum(len(task.vocabulary.decode([t]).encode()) for t in row["targets"][asked])
    assert found["test_metric"] == pytest.approx(bits / counted, rel=1e-4)
    assert found["test_metric"] < found["test_loss"] / math.log(2)  # an ü has two bytes
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert all("bits_per_byte" in json.loads(line) for line in lines)
    assert f"bits_per_byte {found['test_metric']:.4g}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("tokenizer", ["characters", "bytes"])
def test_a_run_is_read_without_its_text(corpus, tmp_path, capsys, tokenizer):
    folder, moved = tmp_path / "run", tmp_path / "moved"
    found = trained(corpus, folder, "--task-options.tokenizer", tokenizer)
    text = corpus.read_text(encoding="utf-8")
    held_out = tmp_path / "held_out.txt"
    held_out.write_text(text[2280:] + text[2280:], encoding="utf-8")  # the test split, twice
    corpus.unlink()
    folder.rename(moved)
    capsys.readouterr()
    assert main(["evaluate", str(moved), "--validation-data", str(held_out)]) == 0
    *_, heads, values = capsys.readouterr().out.splitlines()
    assert heads.split() == ["rows", "steps", "loss", "bits_per_byte"]
    assert len(heads) == len(values)
    rows, steps, loss, bits = values.split()
    assert float(loss) == pytest.approx(found["test_loss"], abs=1e-4)
    assert float(bits) == pytest.approx(found["test_metric"], abs=1e-3)
    tokens = tmp_path / "tokens.csv"
    tokens.write_text("1\n2\n3\n")
    assert main(["predict", str(moved), "--input", str(tokens)]) == 0
    assert capsys.readouterr().out.startswith("step,class,output_0")


def test_what_is_held_out_may_be_a_file_of_its_own(corpus, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("abü" * 50, encoding="utf-8")
    config = trained(corpus, tmp_path / "run", f"--validation-data={other}")["config"]
    assert config["task"]["validation_data"] == str(other)
    assert config["task"]["data"] == str(corpus) and config["task"]["path"] is None


def test_the_older_option_for_the_text(corpus, tmp_path):
    how = f"--task text --task-options.path {corpus} --width 8 --steps 1 --evaluate-rows 2"
    assert main(["train", *how.split(), "--out", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "tokenizer.json").exists()


def test_a_folder_keeps_the_vocabulary_of_packed_rows(corpus, tmp_path, console):
    task = Packed(Text(data=str(corpus), length=10), 3)
    model = network(task, memcore.GRU(8, hidden_size=8), layers=1)
    how = OptimizerOptions(learning_rate=1e-3)
    config = Config(task=task, model=model, steps=1, batch_size=4, optimizer=how)
    folder = RunFolder(tmp_path / "run")
    folder.claim(config)
    kept = folder.kept("tokenizer")
    assert json.loads(kept.read_text())["characters"] == "abcdü"
    kept.unlink()  # as if a process had been killed before it wrote it
    (tmp_path / "run" / ".tokenizer.1.json").write_text("half")
    run(config, tmp_path / "run", console)
    assert json.loads(kept.read_text())["characters"] == "abcdü"
    assert not (tmp_path / "run" / ".tokenizer.1.json").exists()


@pytest.mark.parametrize(
    ("tokenizer", "other", "message"),
    [
        # As many characters as before, so that nothing else would notice.
        ("characters", "x", "tokenizer.json is not the tokenizer of text (corpus.txt) any more"),
        ("bytes", "", "corpus.txt has no tokens for the train split"),
    ],
)
def test_a_run_does_not_go_on_with_another_text(
    corpus, tmp_path, capsys, tokenizer, other, message
):
    folder = tmp_path / "run"
    trained(corpus, folder, "--task-options.tokenizer", tokenizer)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    text = corpus.read_text(encoding="utf-8")
    corpus.write_text(text.replace("a", other) if other else "", encoding="utf-8")
    capsys.readouterr()
    assert main(["train", "--resume", str(folder), "--steps", "4"]) == 2
    assert message in capsys.readouterr().err
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def generated(capsys, folder: Path, *more: str) -> str:
    assert main(["generate", str(folder), *more]) == 0
    return capsys.readouterr().out.removesuffix("\n")


@pytest.mark.parametrize("tokenizer", ["characters", "bytes"])
def test_generate_goes_on_with_a_text(corpus, tmp_path, capsys, tokenizer):
    folder = tmp_path / "run"
    trained(corpus, folder, "--task-options.tokenizer", tokenizer)
    corpus.unlink()
    capsys.readouterr()
    how = ("--prompt", "aaü", "--length", "12", "--temperature", "0.5", "--top-k", "4")
    said = generated(capsys, folder, *how)
    assert generated(capsys, folder, *how) == said
    assert said != generated(capsys, folder, *how, "--seed", "1")
    model, params = memcore.load(folder / "model.safetensors")
    params = jax.tree.map(jax.numpy.asarray, params)
    vocabulary = of_json((folder / "tokenizer.json").read_text(encoding="utf-8"))
    prompt = jax.numpy.asarray(vocabulary.encode("aaü").tokens)[None]
    _, tokens = memcore.generate(
        model, params, prompt, length=12, temperature=0.5, top_k=4, key=jax.random.key(0)
    )
    assert said == "aaü" + "".join(as_they_come(vocabulary, tokens[0].tolist()))
    stop = said[6:8]
    ended = generated(capsys, folder, *how, "--stop", stop)
    assert ended == "aaü" + said[3:].partition(stop)[0]


def test_a_stop_text_may_come_in_pieces():
    assert list(until("ab", ["xa", "a", "b", "c"])) == ["x", "a", ""]
    assert "".join(until("aab", "xaaabc")) == "xa"
    assert "".join(until("\n\n", ["a\n", "b\n"])) == "a\nb\n"
    assert list(until(None, ["a", "b"])) == ["a", "b", ""]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prompt", "axb"], "prompt has 'x', which the run's vocabulary does not have"),
        (["--prompt", ""], "prompt is '', expected at least one token"),
        (["--stop", ""], "stop is '', expected some text"),
        (["--length", "0"], "length is 0, expected 1 or more"),
        (["--top-k", "0"], "top_k is 0, expected None or a positive int"),
        (["--seed", "-1"], "seed is -1, expected 0 to 4294967295, a number of 32 bits"),
        (["--seed", str(2**70)], f"seed is {2**70}, expected 0 to 4294967295, a number of 32 bits"),
        (["--temperature", "-1"], "temperature is -1.0, expected a number of at least 0"),
    ],
)
def test_generate_says_what_is_wrong(shared, capsys, options, message):
    assert main(["generate", str(shared), "--prompt", "a", *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.strip() == f"memcore generate: {message}"


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    path = folder / "corpus.txt"
    path.write_text("abc" * 800, encoding="utf-8")
    trained(path, folder / "run")
    return folder / "run"


@pytest.mark.requires("tokenizers")
def test_generate_behind_a_prompt_of_words(shared, tmp_path, capsys):
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"?": 0, "a": 1, "b": 2, "cü": 3}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder = tmp_path / "run"
    shutil.copytree(shared, folder)
    (folder / "tokenizer.json").write_text(made.to_str(), encoding="utf-8")
    capsys.readouterr()
    said = generated(capsys, folder, "--prompt", "a cü", "--length", "5")
    assert said.startswith("a cü ") and len(said.split()) == 7
    assert main(["generate", str(folder), "--prompt", "a cü bä b"]) == 2
    assert "prompt has ' bä', which the run's vocab" in capsys.readouterr().err
    assert main(["generate", str(folder), "--prompt", "a \udcff"]) == 2
    assert "prompt is 'a \\udcff', expected text: " in capsys.readouterr().err


def test_generate_needs_a_run_of_text(shared, tmp_path, capsys):
    assert main(["generate", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err
    other = tmp_path / "other"
    shutil.copytree(shared, other)
    (other / "tokenizer.json").unlink()
    assert main(["generate", str(other)]) == 2
    assert (
        "learned text, expected a run of text: there is no tokenizer.json"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "tokenizer.json",
            '{"memcore": "bytes"}',
            "tokenizer.json has 256 tokens, expected the 4 of",
        ),
        (
            "tokenizer.json",
            '{"memcore": "characters", "characters": "a"}',
            "tokenizer.json has 2 tokens, expected the 4 of the model",
        ),
        ("tokenizer.json", '{"memcore": "char', "tokenizer.json holds no vocabulary: "),
        ("config.json", "null", "config.json is not the configuration of a run: None is no object"),
        ("config.json", "{}", "config.json is not the configuration of a run: 'task'"),
        ("config.json", '{"task": 3}', "config.json is not the configuration of a run: "),
    ],
)
def test_generate_names_a_damaged_file(shared, tmp_path, capsys, file, content, message):
    damaged = tmp_path / "damaged"
    shutil.copytree(shared, damaged)
    (damaged / file).write_text(content, encoding="utf-8")
    assert main(["generate", str(damaged), "--prompt", "a", "--length", "2"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and message in err


@pytest.mark.parametrize(
    ("encoding", "errors", "want"),
    [("ascii", "strict", "a?"), ("ascii", "surrogateescape", "a?"), ("utf-8", "strict", "aü")],
)
def test_what_an_output_cannot_write_is_a_question_mark(encoding, errors, want):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)
    assert shown("aü", stream) == want
    stream.write(shown("aü\udcff", stream))
