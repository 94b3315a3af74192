"""Tables that fit the console: where the columns do not, they go on in a table below."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

TEXT = ("model", "method", "failed", "")
"""Headers of columns of words, which may break; numbers never do."""


def show(console: Console, title: str, headers: Sequence[str], rows: list[list[str]]) -> None:
    """Print rows under headers; the first column stands in every table. Empty columns are left out."""
    columns = [[header, *cells] for header, *cells in zip(headers, *rows, strict=True)]
    first, *others = [column for column in columns if column is columns[0] or any(column[1:])]
    longest = console.width // 3
    room = console.width - 1
    groups: list[list[list[str]]] = [[]]
    for column in others:
        if groups[-1] and sum(_width(c, longest) for c in [first, *groups[-1], column]) > room:
            groups.append([])
        groups[-1].append(column)
    for number, group in enumerate(groups):
        console.print(_table("" if number else title, [first, *group], longest))


def _width(column: list[str], longest: int) -> int:
    """Of a column with its border and padding."""
    width = max(map(len, column))
    return 3 + (min(width, longest) if column[0] in TEXT else width)


def _table(title: str, columns: list[list[str]], longest: int) -> Table:
    table = Table(title=title or None)
    for header, *_ in columns:
        words = header in TEXT
        table.add_column(
            header,
            justify="left" if words else "right",
            no_wrap=not words,
            overflow="fold",
            max_width=longest if words else None,
        )
    for cells in zip(*(column[1:] for column in columns), strict=True):
        table.add_row(*cells)
    return table
