"""The blocks of the page on reinforcement learning: the first three are a learning agent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

PAGE = "docs/rl.md"


@pytest.fixture(autouse=True)
def as_users_run_it() -> Iterator[None]:
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def blocks(pytestconfig: pytest.Config) -> list[str]:
    text = (pytestconfig.rootpath / PAGE).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)


def test_the_first_three_blocks_learn(
    blocks: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    for block in blocks[:3]:
        exec(block, names)
    said = [float(x) for x in re.findall(r"about (-?[\d.]+)", capsys.readouterr().out)]
    assert len(said) == 6 and said[-1] > 0.9, said


def test_the_other_blocks_run(blocks: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert len(blocks) == 6
    exec(blocks[3], {})
    said = re.findall(r"True|False", capsys.readouterr().out)
    assert [x == "True" for x in said[:6]] == [True, False, True, False, False, False]
    assert [x == "True" for x in said[6:]] == [False, False, False, True, False, False]
    exec(blocks[4], {})
    assert float(capsys.readouterr().out) < 1e-5
    names: dict[str, Any] = {}
    exec(blocks[5], names)
    for name in ("state", "stored", "burnt", "votes", "kept", "ys"):
        for leaf in jax.tree.leaves(names[name]):
            assert np.isfinite(np.asarray(leaf, "float32")).all()
