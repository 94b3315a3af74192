"""Eight memories on three environments, and how equal acting and training are.

    python benchmarks/rl.py                          # all of it, 20 minutes or more on two cores
    python benchmarks/rl.py --environments           # the second alone

Runs ``examples/rl/recurrent_ppo.py`` and writes the part *Measured* of the page on reinforcement learning,
pictures beside it, and all numbers into ``benchmarks/results/rl``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import memcore
from memcore.train.runs.files import finite

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples" / "rl"))
PAGE, RESULTS = ROOT / "docs" / "rl.md", ROOT / "benchmarks" / "results" / "rl" / "results.json"
PART = "## Measured\n"
ENVIRONMENTS = ("repeat_first", "t_maze:length=50", "cart_pole")
MODELS = "gru,lstm,lru,s5,min_gru,ffm,gated_delta_net,attention:window=64"
WIDTH = 16
DIFFERENCES = {
    "GRU": memcore.GRU(WIDTH),
    "LRU": memcore.LRU(WIDTH),
    "GatedDeltaNet": memcore.GatedDeltaNet(WIDTH),
    "attention, window 16": memcore.Attention(WIDTH, window=16),
}


def difference(model: memcore.Model, dtype: str) -> float:
    """The largest between log-probabilities step by step and over the sequence: 64 steps of 8 rows."""
    stack = memcore.ResidualStack(5, model=model, layers=2, out_features=4)
    worst = 0.0
    for seed in range(3):
        params = jax.tree.map(lambda p: jnp.asarray(p, dtype), stack.init(seed, "float64"))
        xs = jax.random.normal(jax.random.key(seed), (8, 64, 5), "float64").astype(dtype)
        starts = jax.random.bernoulli(jax.random.key(seed + 1), 0.1, (8, 64))
        state = memcore.initial_state(stack, params, (8,))
        _, together = stack.apply(params, xs, state, starts=starts)

        def one(state: Any, now: Any, params: Any = params) -> Any:
            return memcore.step(stack, params, state, now[0], start=now[1])

        _, apart = jax.lax.scan(one, state, (jnp.swapaxes(xs, 0, 1), starts.T))
        both = (together, jnp.swapaxes(apart, 0, 1))
        first, second = (jax.nn.log_softmax(y.astype("float64")) for y in both)
        worst = max(worst, float(jnp.abs(first - second).max()))
    return worst


def differences() -> list[str]:
    jax.config.update("jax_enable_x64", True)
    dtypes = ("float64", "float32", "bfloat16")
    lines = [f"| largest difference | {' | '.join(dtypes)} |", "|---|---|---|---|"]
    for name, model in DIFFERENCES.items():
        row = " | ".join(f"{difference(model, dtype):.1e}" for dtype in dtypes)
        lines.append(f"| {name} | {row} |")
    jax.config.update("jax_enable_x64", False)
    return lines


def table(name: str, results: list[dict[str, Any]], picture: str) -> list[str]:
    lines = [
        f"### {name}\n",
        "| model | return | acting, steps/s | training, steps/s | state | parameters | log-probabilities |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in results:
        speed = f"{r['acting']:,.0f} | {r['training']:,.0f}"
        size = f"{r['state']:,} | {r['parameters']:,} | {r['difference']:.1e}"
        lines.append(
            f"| `{r['model']}` | {r['return']:.3f} ± {r['spread']:.3f} | {speed} | {size} |"
        )
    return [*lines, "", f"![Returns over steps, {name}]({picture})", ""]


def deeper() -> str:
    """Two blocks of LRU, with more steps: what a linear memory needs on repeat_first."""
    import recurrent_ppo

    options = ["--model", "lru", "--layers", "2", "--steps", "1000000"]
    [found] = recurrent_ppo.main([*options, "--out", str(ROOT / "runs" / "rl" / "deeper")])
    reached = f"{found['return']:.3f} on `repeat_first` after 1,000,000 steps"
    return f"Two blocks of LRU reach {reached} (one seed)."


def claim(results: dict[str, list[dict[str, Any]]]) -> str:
    """S5 beside GRU and LSTM, in numbers."""
    said = []
    for name, rows in results.items():
        by = {r["model"]: r for r in rows}
        fast = max(by["gru"]["training"], by["lstm"]["training"])
        best = max(by["gru"]["return"], by["lstm"]["return"])
        said.append(
            f"on `{name}` it trains {by['s5']['training'] / fast:.2f} times as fast as the faster of the two "
            f"and reaches {by['s5']['return']:.3f} where the better of them reaches {best:.3f}"
        )
    return "; ".join(said)


def side_by_side(steps: int, seeds: int, environments: list[str]) -> list[str]:
    """Run the example; the lines of the page."""
    import recurrent_ppo

    lines, results = [], {}
    for name in environments:
        short = name.partition(":")[0]
        out = ROOT / "runs" / "rl" / short
        options = ["--env", name, "--models", MODELS, "--out", str(out)]
        options += ["--steps", str(steps), "--seeds", str(seeds)]
        results[name] = recurrent_ppo.main(options)
        (PAGE.parent / "pictures" / f"rl-{short}.png").write_bytes(
            (out / "returns.png").read_bytes()
        )
        lines += table(name, results[name], f"pictures/rl-{short}.png")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(finite(results)) + "\n")
    return [
        f"Each model stands in one block of width 64 and has {steps:,} steps of 64 environments, with "
        f"{seeds} seeds; a return is the mean of the last twentieth, with its spread over seeds. Speeds are "
        "single measurements on a machine that did other work too: compare them\nwithin a table, "
        "and loosely.\n",
        *lines,
        '"Structured State Space Models for In-Context Reinforcement Learning" (arXiv:2303.03982) says that '
        f"S5 is faster than recurrent nets and better on tasks of memory. On a CPU: {claim(results)}.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=400_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--environments", nargs="*", default=ENVIRONMENTS)
    asked = parser.parse_args()
    lines = [
        PART,
        f"By `python benchmarks/rl.py`, on {os.cpu_count()} cores. Log-probabilities of acting and of "
        "training, stacks of two layers on 64 steps with random starts:\n",
        *differences(),
    ]
    if asked.environments:
        lines += ["", *side_by_side(asked.steps, asked.seeds, asked.environments), "", deeper()]
    text = PAGE.read_text().partition(PART)[0].rstrip("\n")
    PAGE.write_text(text + "\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
