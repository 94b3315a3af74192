"""Heads: the projections of a memory with keys and values."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import Draw
from memcore.cell import Array, Model, Params
from memcore.fields import count


def head_size(in_features: int, heads: int) -> int:
    """``in_features / heads``.

    Raises:
        ValueError: ``heads`` does not divide ``in_features``.
    """
    if in_features % heads:
        raise ValueError(f"heads is {heads}, expected a divisor of in_features {in_features}")
    return in_features // heads


def head_sizes(
    in_features: int, heads: int, key_size: int | None, value_size: int | None
) -> tuple[int, int]:
    """Key and value size per head; ``in_features / heads`` where not given.

    Raises:
        ValueError: a size is not given, and ``heads`` does not divide ``in_features``.
    """
    if (key_size is None or value_size is None) and in_features % heads:
        raise ValueError(
            f"heads is {heads}, expected a divisor of in_features {in_features} unless "
            "key_size and value_size are given"
        )
    size = in_features // heads
    return key_size or size, value_size or size


@dataclass(frozen=True)
class KeyValueHeads(Model):
    """A model whose memory has heads, with keys and values of sizes of their own."""

    heads: int = count(4)
    key_size: int | None = count(None)
    value_size: int | None = count(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.sizes

    @property
    def sizes(self) -> tuple[int, int]:
        """K and V per head."""
        return head_sizes(self.in_features, self.heads, self.key_size, self.value_size)


def init_heads(
    draw: Draw, width: int, heads: int, sizes: tuple[int, int], bias: bool = False
) -> Params:
    """Kernels of queries, keys, values and the output, with biases if asked."""
    k, v = sizes
    return {
        "query": nn.dense(draw, "query", width, heads * k, bias),
        "key": nn.dense(draw, "key", width, heads * k, bias),
        "value": nn.dense(draw, "value", width, heads * v, bias),
        "output": nn.dense(draw, "output", heads * v, width, bias),
    }


def project_heads(params: Params, x: Array, heads: int) -> dict[str, Array]:
    """``(..., in)`` to q, k and v ``(..., heads, size)``."""
    names = {"q": "query", "k": "key", "v": "value"}
    return {
        short: nn.split_heads(nn.linear(params[name], x), heads) for short, name in names.items()
    }
