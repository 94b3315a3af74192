"""A MkDocs hook: what was measured, in place of the marker on the page ``benchmarks.md``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

HERE = Path(__file__).parent
MARKER = "<!-- measured -->"
"""Not that of the page of baselines, which `baselines.py` writes into."""


def results() -> list[Path]:
    return sorted((HERE / "results").glob("*.json"))


def on_files(files: Files, config: Any) -> Files:
    """The pictures become files of the site."""
    for path in sorted((HERE / "results").glob("*.png")):
        hidden = InclusionLevel.NOT_IN_NAV
        where = f"results/{path.name}"
        files.append(File.generated(config, where, abs_src_path=str(path), inclusion=hidden))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """The table over all devices, then each device's own report."""
    if MARKER not in markdown:
        return markdown
    sys.path.insert(0, str(HERE))
    from report import summary

    every = [json.loads(path.read_text()) for path in results()]
    parts = [summary(every)] if every else ["Nothing was measured yet."]
    for path in results():
        text = path.with_suffix(".md").read_text()
        text = re.sub(r"^#", "##", text, flags=re.MULTILINE)
        parts.append(re.sub(r"\]\(([^)/]+\.png)\)", r"](results/\1)", text))
    return markdown.replace(MARKER, "\n\n".join(parts))
