"""A MkDocs hook: "arXiv:2303.06349" becomes a link, in docstrings as on pages."""

from __future__ import annotations

import re
from typing import Any

# Code stands as it is written, and what is a link already stays one.
PAPER = re.compile(r"<(a|pre|code)\b.*?</\1>|arXiv:(?P<number>\d{4}\.\d{4,5}(?:v\d+)?)", re.DOTALL)


def on_page_content(html: str, **_: Any) -> str:
    """The page with links to the papers that it names."""

    def link(match: re.Match[str]) -> str:
        found, number = match[0], match["number"]
        return f'<a href="https://arxiv.org/abs/{number}">{found}</a>' if number else found

    return PAPER.sub(link, html)
