"""Modular arithmetic and ListOps: their answers, by other evaluators."""

import statistics

import pytest

from memcore.tasks import ListOps, ModularArithmetic
from tasks.rows import asked, checksum, first_rows


@pytest.mark.parametrize(("operators", "modulus"), [("+-*", 5), ("*+", 3), ("-", 7)])
def test_modular_arithmetic_is_what_python_says(operators, modulus):
    task = ModularArithmetic(terms=7, modulus=modulus, operators=operators)
    assert task.length == 13 and task.in_features == modulus + len(operators)
    for row in first_rows(task):
        xs = row["xs"].tolist()
        parts = [str(x) if x < modulus else operators[x - modulus] for x in xs]
        steps, answers = asked(row)
        assert steps == list(range(0, 13, 2))
        assert answers == [eval("".join(parts[: t + 1])) % modulus for t in steps]


NAMES = [*"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]", "_"]
OPERATIONS = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda arguments: int(statistics.median(arguments)),
    "[SM": lambda arguments: sum(arguments) % 10,
}


def parse(words):
    """(value, depth, most arguments) of the expression at the front of `words`, which it takes."""
    word = words.pop(0)
    if word not in OPERATIONS:
        return int(word), 0, 0
    parts = []
    while words[0] != "]":
        parts.append(parse(words))
    words.pop(0)
    values, depths, counts = zip(*parts, strict=True)
    assert len(values) >= 2
    return OPERATIONS[word](values), 1 + max(depths), max(len(values), *counts)


@pytest.mark.parametrize(("depth", "arguments", "length"), [(1, 2, 4), (3, 4, 24), (4, 5, 50)])
def test_list_ops(depth, arguments, length):
    seen, widest = set(), 0
    for row in first_rows(ListOps(depth=depth, arguments=arguments, length=length), 150):
        words = [NAMES[x] for x in row["xs"]]
        assert "_" not in " ".join(words).lstrip("_ ")
        words = [word for word in words if word != "_"]
        seen |= set(words)
        value, deep, most = parse(words)
        assert not words and deep <= depth and most <= arguments
        widest = max(widest, most)
        assert asked(row) == ([length - 1], [value])
    assert seen == set(NAMES) - {"_"} and widest == arguments


@pytest.mark.parametrize(
    ("task", "pinned"),
    [(ModularArithmetic(), "362cf079aa9d0bfa"), (ListOps(), "6f419623d7a798c0")],
)
def test_the_numbers_are_the_same_on_every_machine(task, pinned):
    assert checksum(task) == pinned


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (ModularArithmetic, {"terms": 0}, "terms is 0, expected 1 or more"),
        (ModularArithmetic, {"modulus": 1}, "modulus is 1, expected 2 or more"),
        (ModularArithmetic, {"operators": ""}, r"operators is '', expected some of '\+-\*'"),
        (ModularArithmetic, {"operators": "+/"}, r"operators is '\+/', expected some of"),
        (ModularArithmetic, {"operators": "++"}, r"operators is '\+\+', expected .* each once"),
        (ListOps, {"length": 3}, "length is 3, expected 4 or more"),
        (ListOps, {"depth": 0}, "depth is 0, expected 1 or more"),
        (ListOps, {"arguments": 1}, "arguments is 1, expected 2 or more"),
    ],
)
def test_options_that_make_no_sense_are_refused(task, options, message):
    with pytest.raises(ValueError, match=message):
        task(**options)
