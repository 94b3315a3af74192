"""`memcore generate`: how a run's model goes on with a text."""

import inspect
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import tyro

from memcore.tasks.base.checks import SEEDS, within
from memcore.tasks.text import vocabulary as vocabularies
from memcore.tasks.text.vocabulary import Vocabulary
from memcore.train.commands.reported import reported
from memcore.types import Params, Value

PROG = "memcore generate"


@dataclass(frozen=True)
class Options:
    """Go on with a text, by the model of a finished run of the task `text`.

    The prompt is printed, and each token behind it as soon as it is drawn. The same options and seed give
    the same text.
    """

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    prompt: str = "\n"
    """What the text begins with."""
    length: int = 500
    """How many tokens to draw."""
    temperature: float = 1.0
    """0 takes the best token, 1 draws as the model says, more draws more evenly."""
    top_k: int | None = None
    """How many of the best tokens may be drawn."""
    top_p: float | None = None
    """The share of the probability that the tokens which may be drawn hold together."""
    seed: int = 0
    """Of the draws."""
    stop: str | None = None
    """A text before which to end."""


@reported(PROG)
def main(arguments: Sequence[str]) -> None:
    """Run the command; returns its exit code: 2 where arguments or data are not as they should be."""
    options = tyro.cli(Options, args=arguments, prog=PROG, description=inspect.getdoc(Options))
    for piece in text(options):
        sys.stdout.write(shown(piece, sys.stdout))
        sys.stdout.flush()
    print()


def text(options: Options) -> Iterator[str]:
    """The prompt and what follows it, piece by piece."""
    # After parsing: --help answers without loading jax and its company.
    from memcore.train.runs.folder import RunFolder
    from memcore.train.runs.trained import beyond, computing, settings, trained

    if options.stop == "":
        raise ValueError("stop is '', expected some text")
    within("seed", options.seed, 0, SEEDS, "a number of 32 bits")
    run = options.run.expanduser()
    values, path = settings(run), RunFolder(run).kept("tokenizer")
    if not path.exists():
        name = values["task"]["name"]
        raise ValueError(f"{run} learned {name}, expected a run of text: there is no {path.name}")
    vocabulary = vocabularies.read(path, path.stat().st_mtime_ns)
    model, params = trained(run)
    if len(vocabulary) != model.in_features:
        raise ValueError(
            f"{path} has {len(vocabulary):,} tokens, expected the {model.in_features:,} of the model"
        )
    prompt = encoded(options.prompt, vocabulary)
    if warning := beyond(model, len(prompt) + options.length):
        print(f"{PROG}: {warning}", file=sys.stderr)
    tokens = drawn(computing(model, values["precision"]), params, prompt, options)
    pieces = vocabularies.as_they_come(vocabulary, tokens, prompt.tolist())
    first = next(pieces, "")  # an error comes before the prompt is printed
    yield options.prompt
    yield from until(options.stop, itertools.chain([first], pieces))


def encoded(prompt: str, vocabulary: Vocabulary) -> np.ndarray:
    """A prompt as tokens (P,); ValueError where it is empty or the vocabulary does not know all of it."""
    try:
        found = vocabulary.encode(prompt)
    except TypeError as error:  # of a tokenizer, where bytes in the prompt are no UTF-8
        raise ValueError(f"prompt is {prompt!r}, expected text: {error}") from error
    if not len(found.tokens):
        raise ValueError(f"prompt is {prompt!r}, expected at least one token")
    if not found.known.all():
        first = int(np.flatnonzero(~found.known)[0])
        begin, size = int(found.sizes[:first].sum()), int(found.sizes[first])
        unknown = prompt.encode("utf-8", "surrogatepass")[begin : begin + size]
        raise ValueError(
            f"prompt has {unknown.decode('utf-8', 'surrogatepass')!r}, which the run's vocabulary does not "
            "have"
        )
    return found.tokens


def drawn(model: Value, params: Params, prompt: np.ndarray, options: Options) -> Iterator[int]:
    """Tokens one after the other: the prompt is read at once, and then each costs a step."""
    import jax

    import memcore

    how = {
        "temperature": options.temperature,
        "top_k": options.top_k,
        "top_p": options.top_p,
        "key": jax.random.key(options.seed),
    }
    if options.length < 1:
        raise ValueError(f"length is {options.length}, expected 1 or more")
    state, last = memcore.initial_state(model, params, (1,)), jax.numpy.asarray(prompt[None])
    for offset in range(options.length):
        state, last = memcore.generate(
            model, params, last, length=1, state=state, offset=offset, **how
        )
        token = int(last[0, 0])
        if token < 0:
            raise ValueError("the model's outputs are no numbers: no token can be drawn")
        yield token


def shown(piece: str, stream: TextIO) -> str:
    """A piece as the stream can write it: ? for a character that its encoding does not have."""
    encoding = stream.encoding or "utf-8"
    try:
        piece.encode(encoding, stream.errors or "strict")
    except UnicodeEncodeError:
        return piece.encode(encoding, "replace").decode(encoding)
    return piece


def until(stop: str | None, pieces: Iterable[str]) -> Iterator[str]:
    """The pieces up to where `stop` begins; what may be its beginning waits for what follows."""
    waiting = ""
    for piece in pieces:
        waiting += piece
        if stop is None:
            held = 0
        elif stop in waiting:
            yield waiting.partition(stop)[0]
            return
        else:
            held = next(n for n in range(len(stop) - 1, -1, -1) if waiting.endswith(stop[:n]))
        yield waiting[: len(waiting) - held]
        waiting = waiting[len(waiting) - held :]
    yield waiting
