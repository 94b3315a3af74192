"""The page "A model of your own": its code runs, and what it quotes is what `check_model` says."""

from __future__ import annotations

import re
import sys
import types
from typing import Any

import pytest


@pytest.mark.backend("numpy")
def test_page_runs_and_quotes(
    pytestconfig: pytest.Config, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (pytestconfig.rootpath / "docs" / "own_model.md").read_text(encoding="utf-8")
    page = types.ModuleType("own_model_page")
    monkeypatch.setitem(sys.modules, page.__name__, page)
    for code in re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S):
        exec(compile(code, "own_model.md", "exec"), page.__dict__)
    quoted = re.findall(r"^```text\n(.*?)^```$", text, re.M | re.S)
    assert quoted[0].strip() == str(page.check_model(page.Averages(3)))  # type: ignore[attr-defined]
    wrong = ("NotAssociative", "Multiplied", "Forgetful", "Undeclared", "Unread", "Moved")
    for name, words in zip(wrong, quoted[1:], strict=True):
        with pytest.raises((AssertionError, ValueError)) as raised:
            page.check_model(getattr(page, name)(3))  # type: ignore[attr-defined]
        assert words.strip().removeprefix("ValueError: ") in str(raised.value)
