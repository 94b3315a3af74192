"""A picture of what counts for what."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from memcore import files
from memcore.types import Array

ENDINGS = ("png", "pdf", "svg")


def draw(saliency: Array, path: str | Path, *, title: str = "saliency") -> None:
    """Draw one sequence's saliency into a picture file (PNG, PDF, SVG): outputs down, inputs to the right.

    Args:
        saliency: ``(T, T)`` from `saliency`, of one sequence.
        path: of the file.
        title: above the picture.

    Raises:
        ValueError: the saliency is that of several sequences, or the file's name has another ending.
        TypeError, OSError: the file cannot be written there; the message names it.
        ImportError: matplotlib is not installed.
    """
    shown = np.asarray(saliency, dtype=np.float64)
    if shown.ndim != 2 or shown.shape[0] != shown.shape[1]:
        raise ValueError(f"saliency has shape {shown.shape}, expected (T, T): one sequence")
    target = files.checked_path(path)
    ending = target.suffix.lower().removeprefix(".")
    if ending not in ENDINGS:
        raise ValueError(f"path is {str(path)!r}, expected one that ends in .{', .'.join(ENDINGS)}")
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
    content = io.BytesIO()
    figure.savefig(content, format=ending)
    files.replace(target, content.getvalue())
