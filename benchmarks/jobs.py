"""A job is one row of a table: what to call it, and how to measure it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Job:
    """``run`` gives the row's numbers; ``row`` names it, and is kept where ``run`` raises."""

    name: str
    run: Callable[[], dict[str, Any]]
    row: dict[str, Any] = field(default_factory=dict)


class NotRun(Exception):
    """A row that stays empty on purpose; the message says why."""
