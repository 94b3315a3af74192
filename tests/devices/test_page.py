"""The blocks of the page on devices, on four of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

import memcore

PAGES = {"docs/devices.md": 4, "docs/parallel.md": 1}
"""And how many blocks each has that do not train."""


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
@pytest.mark.parametrize(("page", "number"), [(p, i) for p, n in PAGES.items() for i in range(n)])
def test_blocks_run(page: str, number: int, pytestconfig: pytest.Config, backend: Any) -> None:
    import jax
    import numpy as np

    text = (pytestconfig.rootpath / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    blocks = [block for block in blocks if "memcore.train" not in block]
    assert len(blocks) == PAGES[page]
    names: dict[str, Any] = {}
    exec(blocks[number], names)
    found = names.get("gradients", names.get("ys"))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


@pytest.mark.backend("jax")
def test_the_sheet_has_the_bytes_of_the_models(pytestconfig: pytest.Config, backend: Any) -> None:
    import jax

    text = (pytestconfig.rootpath / "docs/parallel.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)\(([^`]*)\)` \| ([\d,]+) \|", text, re.M)
    assert {name for name, *_ in rows} == {"LinearAttention", "GatedDeltaNet", "Attention"}
    for name, options, said in rows:
        width, *more = options.split(", ")
        how = {key: int(value) for key, value in (option.split("=") for option in more)}
        model = getattr(memcore, name)(int(width), **how)
        params = jax.eval_shape(model.init, jax.random.key(0))
        state = jax.eval_shape(lambda p, m=model: memcore.initial_state(m, p), params)
        bytes_ = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
        assert bytes_ == int(said.replace(",", ""))
