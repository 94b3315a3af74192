"""The pages: what stands on which, and the links in them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def hook(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_generated_part_has_a_marker_of_its_own() -> None:
    """A page that holds another one's marker would hold its report too."""
    pages = {path: path.read_text() for path in (ROOT / "docs").rglob("*.md")}
    marks = [mark for text in pages.values() for mark in re.findall(r"<!-- \w+ -->", text)]
    assert sorted(marks) == ["<!-- measured -->", "<!-- results -->"]


@pytest.mark.requires("mkdocs")
def test_the_report_stands_on_the_page_of_benchmarks_alone() -> None:
    docs_page = hook("benchmarks/docs_page.py")
    for path in (ROOT / "docs").rglob("*.md"):
        if path.name != "benchmarks.md":
            text = path.read_text()
            assert docs_page.on_page_markdown(text, None, None, None) == text
    assert docs_page.MARKER in (ROOT / "docs" / "benchmarks.md").read_text()


@pytest.mark.parametrize(
    ("html", "want"),
    [
        (
            "<p>Cho et al., arXiv:1406.1078; see arXiv:2303.06349v2.</p>",
            '<p>Cho et al., <a href="https://arxiv.org/abs/1406.1078">arXiv:1406.1078</a>; see '
            '<a href="https://arxiv.org/abs/2303.06349v2">arXiv:2303.06349v2</a>.</p>',
        ),
        ('<a href="x">arXiv:1406.1078</a>', None),
        ("<pre><span></span><code><a></a>arXiv:1406.1078</code></pre>", None),
        ("<code>arXiv:1406.1078</code>", None),
        ("<p>arXiv, arXiv:12.34</p>", None),
    ],
)
def test_numbers_of_papers_are_links(html: str, want: str | None) -> None:
    assert hook("docs/arxiv_links.py").on_page_content(html, page=None) == (want or html)
