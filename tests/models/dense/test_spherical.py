"""Spherical: golden vectors of memax in both forms, and a norm that stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend
from golden_vectors import load


@pytest.mark.parametrize("product", [False, True])
def test_spherical_golden(product: bool, backend: Backend, x64: None) -> None:
    _, a = load("memax_pspherical" if product else "memax_spherical")
    w: dict[str, Any] = {
        key.removeprefix("param/").removeprefix("algebra.algebra."): x for key, x in a.items()
    }
    params = {
        "angles": {"kernel": w["project.weight"].T, "bias": w["project.bias"]},
        "initial": w["initial_vector" if product else "initial_state"],
    }
    model = memcore.Spherical(a["in/x"].shape[-1], state_size=4, product=product)
    params, xs, starts = backend.asarray((params, a["in/x"], a["in/start"]))
    for method in ("sequential", "associative", "chunked"):
        h, ys = model.apply(params, xs, starts=starts, method=method)
        np.testing.assert_allclose(np.asarray(ys), a["out/y"], rtol=0, atol=1e-9)
        want = a["out/S" if product else "out/h"]
        np.testing.assert_allclose(np.asarray(h), want, rtol=0, atol=1e-9)


@pytest.mark.parametrize("product", [False, True])
def test_its_length_stays_one(product: bool) -> None:
    model = memcore.Spherical(3, state_size=5, product=product)
    xs = np.random.default_rng(0).normal(size=(2000, 3)).astype("float32")
    ys = model.apply(model.init(0), xs)[1]
    np.testing.assert_allclose(np.linalg.norm(ys, axis=-1), 1, atol=1e-4)


def test_the_two_forms_read_the_turns_in_opposite_order() -> None:
    one, other = (memcore.Spherical(3, state_size=4, product=p) for p in (False, True))
    params, xs = one.init(0, "float64"), np.random.default_rng(0).normal(size=(7, 3))
    last = one.apply(params, xs)[1][-1]
    np.testing.assert_allclose(other.apply(params, xs[::-1])[1][-1], last, atol=1e-12)
