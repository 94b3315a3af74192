"""One file per function of memcore.ops, by family as there: its cases, their loops, what it refuses.

A file has a ``RULE`` and the function's name. The loops know nothing of the library: one step of one
sequence at a time, on NumPy arrays, in float64, written from the rule's equations.
"""

from __future__ import annotations

from cases import walk
from cases.ops.base import BATCH as BATCH
from cases.ops.base import HEADS as HEADS
from cases.ops.base import KEYS as KEYS
from cases.ops.base import VALUES as VALUES
from cases.ops.base import WIDTH as WIDTH
from cases.ops.base import WINDOW as WINDOW
from cases.ops.base import Op as Op
from cases.ops.base import Rule as Rule
from cases.ops.base import Wrong as Wrong
from cases.ops.base import loop as loop

RULES: dict[str, Rule] = {
    file.__name__.rpartition(".")[-1]: file.RULE
    for file in walk(__name__, list(__path__))
    if hasattr(file, "RULE")
}
OPS: dict[str, Op] = {name: op for rule in RULES.values() for name, op in rule.cases.items()}
WRONG: dict[str, Wrong] = {
    f"{function} {name}": wrong
    for function, rule in RULES.items()
    for name, wrong in rule.wrong.items()
}
