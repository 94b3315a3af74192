"""A picture of what counts for what."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from memcore.types import Array


def draw(saliency: Array, path: str | Path, *, title: str = "saliency") -> None:
    """Draw one sequence's saliency into a picture file (PNG, PDF, SVG): outputs down, inputs to the right.

    Args:
        saliency: ``(T, T)`` from `saliency`, of one sequence.
        path: of the file.
        title: above the picture.

    Raises:
        ValueError: the saliency is that of several sequences.
        ImportError: matplotlib is not installed.
    """
    shown = np.asarray(saliency, dtype=np.float64)
    if shown.ndim != 2 or shown.shape[0] != shown.shape[1]:
        raise ValueError(f"saliency has shape {shown.shape}, expected (T, T): one sequence")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('draw needs matplotlib: pip install "memcore[train]"') from error
    figure = Figure(figsize=(4.2, 3.6), dpi=120, layout="constrained")
    axes = figure.subplots()
    share = shown / np.maximum(shown.sum(-1, keepdims=True), np.finfo(np.float64).tiny)
    image = axes.imshow(share, cmap="viridis", interpolation="nearest", vmin=0)
    axes.set(title=title, xlabel="input", ylabel="output")
    figure.colorbar(image, label="share of an output")
    figure.savefig(path)
