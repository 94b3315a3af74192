"""What six models look at: the pictures and the table of the page "Looking into a memory".

python benchmarks/memories.py docs/pictures
"""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import memcore
from memcore import inspect

WIDTH, STEPS, START, OUTLIER = 16, 64, 32, 8
MODELS = {
    "GRU": memcore.GRU(WIDTH, hidden_size=WIDTH),
    "LSTM": memcore.LSTM(WIDTH, hidden_size=WIDTH),
    "LRU": memcore.LRU(WIDTH, state_size=WIDTH),
    "LinearAttention": memcore.LinearAttention(WIDTH),
    "GatedDeltaNet": memcore.GatedDeltaNet(WIDTH),
    "Attention, window 16": memcore.Attention(WIDTH, window=16),
}
SEEDS = 4


def main(folder: Path) -> None:
    """Parameters as drawn, four of them; standard normal inputs; a start in the middle for the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(9, 5.6), dpi=120, layout="constrained")
    smear = Figure(figsize=(6, 3.4), dpi=120, layout="constrained")
    axes = smear.subplots()
    print("| model | effective length | after the outlier: 8 steps | 32 steps |\n|---|---|---|---|")
    for panel, (name, model) in zip(figure.subplots(2, 3).flat, MODELS.items(), strict=True):
        seen, whole, felt = (
            np.mean(x, 0) for x in zip(*map(looked(model), range(SEEDS)), strict=True)
        )
        share = seen / np.maximum(seen.sum(-1, keepdims=True), 1e-30)
        panel.imshow(share, vmin=0, vmax=np.quantile(share, 0.99), interpolation="nearest")
        panel.set(title=name, xlabel="input", ylabel="output")
        axes.semilogy(np.arange(STEPS), np.maximum(felt, 1e-6), label=name)
        length = float(inspect.effective_length(whole))
        print(f"| {name} | {length:.1f} | {felt[OUTLIER + 8]:.1e} | {felt[OUTLIER + 32]:.1e} |")
    axes.set(xlabel="step", ylabel="difference of the outputs")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(folder / "saliency.png")
    smear.savefig(folder / "contamination.png")


def looked(model: memcore.Model):
    """Saliency with a start in the middle, without, and the contamination, of one draw."""
    starts = jnp.zeros(STEPS, bool).at[START].set(True)

    def one(seed: int) -> tuple[np.ndarray, ...]:
        params = model.init(jax.random.key(seed))
        xs = jax.random.normal(jax.random.key(seed + 100), (STEPS, WIDTH))
        with_start, without = (inspect.saliency(model, params, xs, s) for s in (starts, None))
        felt = inspect.contamination(model, params, xs, OUTLIER)
        return np.asarray(with_start), np.asarray(without), np.asarray(felt)

    return one


if __name__ == "__main__":
    main(Path(sys.argv[1]))
