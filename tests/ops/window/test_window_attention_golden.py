"""Golden vectors of attention with positions, and of others' layers."""

from __future__ import annotations

import numpy as np
import pytest

from cases.checks import METHODS, close
from conftest import Backend
from golden_vectors import load
from memcore import ops


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "window", "position"),
    [
        ("attn_softmax_causal", 37, None),
        ("attn_softmax_alibi", 37, "alibi"),
        ("attn_softmax_rope_halfsplit", 37, "rope"),
        ("attn_softmax_rope_interleaved", 37, "rope"),
        ("attn_softmax_swa8", 8, None),
        ("attn_softmax_alibi_swa8", 8, "alibi"),
        ("attn_softmax_rope_interleaved_swa8", 8, "rope"),
    ],
)
def test_golden_attention(
    name: str, window: int, position: str | None, method: str, backend: Backend, x64: None
) -> None:
    entry, a = load(name)
    q, k, v = (a[f"in/{n}"] for n in "qkv")
    if "interleaved" in name:  # pairs (2j, 2j+1) become the pairs (j, j + K/2)
        order = [*range(0, q.shape[-1], 2), *range(1, q.shape[-1], 2)]
        q, k = q[..., order], k[..., order]
    how = {"position": position, "method": method, "chunk_size": 16}
    _, out = ops.window_attention(*backend.asarray((q, k, v)), window, **how)
    close(out, a["out/o"], entry["tolerance"]["float64_impl"])


THIRD_PARTY = 1e-5  # of float32 numbers, a share of the largest: their own tolerance is looser


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("position", ["none", "alibi", "rope"])
def test_golden_memax_attention(position: str, method: str, backend: Backend, x64: None) -> None:
    _, a = load(f"memax_attention_{position}")
    q, k, v = (a["in/x"] @ a[f"param/{n}.weight"].T for n in "QKV")
    v = v + a["param/V.bias"]
    if position == "rope":  # pairs (2j, 2j+1) become the pairs (j, j + K/2)
        order = [*range(0, q.shape[-1], 2), *range(1, q.shape[-1], 2)]
        q, k = q[..., order], k[..., order]
    arrays = backend.asarray(tuple(x[:, :, None] for x in (q, k, v)))
    how = {"starts": backend.asarray(a["in/start"]), "method": method, "chunk_size": 16}
    how["position"] = None if position == "none" else position
    _, o = ops.window_attention(*arrays, 8, **how)
    close(np.asarray(o)[:, :, 0], a["out/y"], THIRD_PARTY)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("position", ["alibi", "rope"])
def test_golden_memorax_attention(position: str, method: str, backend: Backend, x64: None) -> None:
    _, a = load(f"memorax_self_attention_{position}")

    def heads(name: str) -> np.ndarray:
        projected = np.einsum("btf,fhd->bthd", a["in/x"], a[f"param/{name}/kernel"])
        return projected + a[f"param/{name}/bias"]

    arrays = backend.asarray(tuple(heads(n) for n in ("query", "key", "value")))
    how = {"starts": backend.asarray(a["in/done"]), "method": method, "chunk_size": 16}
    _, o = ops.window_attention(*arrays, 37, position=position, **how)
    y = np.einsum("bthd,hdf->btf", np.asarray(o), a["param/output_projection/kernel"])
    close(y + a["param/output_projection/bias"], a["out/y"], THIRD_PARTY)
