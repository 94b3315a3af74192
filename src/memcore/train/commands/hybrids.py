"""Several models in a stack, as one writes them: `gru,attention:window=32`, `5*lru,attention:window=32`.

Parts with commas between them are the models of the layers, in turn; `COUNT*` stands for as many layers, and
`5:1*` in front for a ratio of all the parts: `5:1*lru,attention` is `5*lru,attention`.
"""

from memcore.cell import Model
from memcore.compose.ratio import by_ratio
from memcore.train.commands.models import built, split


def is_hybrid(text: str) -> bool:
    """Whether a text names the models of several layers."""
    return "*" in text or len(split(text)) > 1


def layers(text: str) -> list[str]:
    """The model of each layer as text; ValueError for a count that is no number above 0."""
    ratio, times, rest = text.partition("*")
    if times and ":" in ratio and ratio.replace(":", "").strip().isdigit():
        return [part.strip() for part in by_ratio(ratio, split(rest))]
    found: list[str] = []
    for part in split(text):
        count, times, model = part.rpartition("*")
        if times and not (count.strip().isdigit() and int(count) > 0):
            raise ValueError(
                f"model has {part!r}, expected a number above 0 before the *, as in 5*lru"
            )
        found += int(count or 1) * [model.strip()]
    return found


def hybrid(text: str, width: int) -> tuple[Model, ...]:
    """The models of the layers for inputs of this width; raises what `built` raises."""
    return tuple(built(layer, width) for layer in layers(text))
