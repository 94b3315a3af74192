"""Several models in a stack, as one writes them: `gru,attention:window=32`, `5*lru,attention:window=32`.

Parts with commas between them are the models of the layers, in turn; `COUNT*` stands for as many layers, and
`5:1*` in front for a ratio of all the parts: `5:1*lru,attention` is `5*lru,attention`.
"""

from memcore.cell import Model
from memcore.compose.residual_stack import by_ratio, counts_of
from memcore.train.commands.models import built, split


def is_hybrid(text: str) -> bool:
    """Whether a text names the models of several layers."""
    return "*" in text or len(split(text)) > 1


MOST = 10_000
"""Layers of a stack: more are a mistake, and a list of them would fill the memory."""


def layers(text: str) -> list[str]:
    """The model of each layer as text; ValueError for a count that is no number from 1 to `MOST`."""
    ratio, times, rest = text.partition("*")
    if times and ":" in ratio and ratio.replace(":", "").replace(" ", "").isdigit():
        models = split(rest)
        _check_number(sum(counts_of(ratio, models)), text)
        return [part.strip() for part in by_ratio(ratio, models)]
    counts: list[tuple[int, str]] = []
    for part in split(text):
        count, times, model = (word.strip() for word in part.rpartition("*"))
        if times and not (count.isascii() and count.isdigit() and int(count) > 0):
            raise ValueError(
                f"model has {part!r}, expected a number above 0 before the *, as in 5*lru"
            )
        counts.append((int(count or 1), model))
    _check_number(sum(n for n, _ in counts), text)
    return [model for n, model in counts for _ in range(n)]


def _check_number(layers: int, text: str) -> None:
    if layers > MOST:
        raise ValueError(f"model is {text!r}, which has {layers} layers, expected at most {MOST}")


def hybrid(text: str, width: int) -> tuple[Model, ...]:
    """The models of the layers for inputs of this width; raises what `built` raises."""
    return tuple(built(layer, width) for layer in layers(text))
