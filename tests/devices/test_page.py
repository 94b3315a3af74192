"""The blocks of the page on devices, on four of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

PAGE = "docs/devices.md"


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
@pytest.mark.parametrize("number", range(4))
def test_blocks_run(number: int, pytestconfig: pytest.Config, backend: Any) -> None:
    import jax
    import numpy as np

    text = (pytestconfig.rootpath / PAGE).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(blocks) == 4
    names: dict[str, Any] = {}
    exec(blocks[number], names)
    found = names.get("gradients", names.get("ys"))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
