"""Remember the first input: the task by which memax tests its models, for every registered memory.

    python benchmarks/remember_first.py                   # all models, two seeds: an hour on one core
    python benchmarks/remember_first.py --models gru lru  # of these what has no result yet

The task is that of memax (``tests/test_initial_input_equinox.py``): rows of five sequences of 20 steps, a
flag at the start of each; Adam at 3e-3 on one row a step, every row with its own symbols. The answer, at
every step, is the first symbol of the sequence. Three symbols and 2000 steps are those of memax at 5ccf743;
at 53d9424, whose demands these are, it has two symbols and 400 steps. A trained model answers 64 rows twice:
over the whole sequence, and step by step from the state before.
Results stand in ``benchmarks/results/remember_first/results.json`` after each model, and become the table
of ``docs/remember_first.md``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

import memcore
from memcore.registry import alone
from memcore.train.commands.models import built
from memcore.train.runs.files import beside, read_json, write_json

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "remember_first.md"
RESULTS = ROOT / "benchmarks" / "results" / "remember_first" / "results.json"
PART = "## Measured\n"
SEQUENCES, LENGTH, SYMBOLS = 5, 20, 3
WIDTH, LAYERS, STEPS, RATE, ROWS = 16, 2, 2000, 3e-3, 64
DEMANDED = {"elman": 0.60, "ind_rnn": 0.90}
"""What memax demands; of all others 0.99."""
MEMORIES = [n for n, cls in alone().items() if cls.__module__.startswith("memcore.models.")]
EXEMPT = {"frame_stack": "cannot: sees 4 steps", "identity": "cannot: keeps nothing"}


def rows(key: jax.Array, count: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """``xs (count, T, symbols + 1)``, ``starts (T,)``, and the answers ``(count, T)``."""
    shape = (count, SEQUENCES, LENGTH)
    symbols = jax.random.randint(key, shape, 0, SYMBOLS)
    answers = jnp.broadcast_to(symbols[..., :1], shape).reshape(count, -1)
    starts = jnp.arange(SEQUENCES * LENGTH) % LENGTH == 0
    shown = jax.nn.one_hot(symbols.reshape(count, -1), SYMBOLS)
    flag = jnp.broadcast_to(starts[:, None].astype(shown.dtype), (*shown.shape[:-1], 1))
    return jnp.concatenate([shown, flag], axis=-1), starts, answers


def network(name: str) -> memcore.Model:
    size: dict[str, Any] = {"layers": LAYERS, "out_features": SYMBOLS}
    return memcore.ResidualStack(SYMBOLS + 1, model=built(name, WIDTH), **size)


def trained(model: memcore.Model, seed: int) -> Any:
    """Its parameters after the updates, one row each."""
    params, optimizer = model.init(jax.random.key(seed)), optax.adam(RATE)

    def loss(params: Any, key: jax.Array) -> jax.Array:
        xs, starts, answers = rows(key, 1)
        logits = model.apply(params, xs, starts=starts)[1]
        return optax.softmax_cross_entropy_with_integer_labels(logits, answers).mean()

    @jax.jit
    def part(both: Any, keys: jax.Array) -> Any:
        def one(both: Any, key: jax.Array) -> Any:
            params, moments = both
            change, moments = optimizer.update(jax.grad(loss)(params, key), moments, params)
            return (optax.apply_updates(params, change), moments), None

        return jax.lax.scan(one, both, keys)[0]

    keys = jax.random.split(jax.random.key(seed + 1000), STEPS)
    return part((params, optimizer.init(params)), keys)[0]


def right(model: memcore.Model, params: Any, seed: int) -> dict[str, float]:
    """Shares of right answers on new rows, over the whole sequence and step by step."""
    xs, starts, answers = rows(jax.random.key(seed + 2000), ROWS)

    @jax.jit
    def by_steps(params: Any) -> jax.Array:
        def one(state: Any, now: Any) -> Any:
            return memcore.step(model, params, state, now[0], start=now[1])

        state = memcore.initial_state(model, params, (ROWS,))
        return jnp.swapaxes(jax.lax.scan(one, state, (jnp.swapaxes(xs, 0, 1), starts))[1], 0, 1)

    @jax.jit
    def together(params: Any) -> jax.Array:
        return model.apply(params, xs, starts=starts)[1]

    modes = {"parallel": together, "step": by_steps}
    return {n: float((run(params).argmax(-1) == answers).mean()) for n, run in modes.items()}


def run(name: str, seed: int) -> dict[str, float]:
    """A model trained from one seed: its shares, and what that took."""
    model, begun = network(name), time.perf_counter()
    return {**right(model, trained(model, seed), seed), "seconds": time.perf_counter() - begun}


def table(results: dict[str, list[dict[str, float]]]) -> str:
    """The part *Measured* of the page."""
    said = (
        f"Stacks of {LAYERS} layers of width {WIDTH}, {STEPS:,} steps of one row, Adam at {RATE:g}; answers "
        f"on {ROWS} new rows. A share is the smallest of the seeds."
    )
    head = "| model | demanded | over the sequence | step by step | seeds | |"
    lines = [head, "|---|---|---|---|---|---|"]
    for name in sorted(MEMORIES):
        wanted = 0.0 if name in EXEMPT else DEMANDED.get(name, 0.99)
        asked = f"{100 * wanted:.0f} %" if wanted else ""
        if not results.get(name):
            lines.append(f"| `{name}` | {asked} | | | 0 | not run yet |")
            continue
        worst = [min(one[mode] for one in results[name]) for mode in ("parallel", "step")]
        verdict = EXEMPT.get(name, "reached" if min(worst) >= wanted else "**missed**")
        shares = " | ".join(f"{100 * share:.1f} %" for share in worst)
        lines.append(f"| `{name}` | {asked} | {shares} | {len(results[name])} | {verdict} |")
    return "\n".join([PART, said, "", *lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=MEMORIES, choices=MEMORIES)
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args()
    results = read_json(RESULTS) if RESULTS.exists() else {}
    for seed in range(asked.seeds):
        for name in asked.models:
            there = results.setdefault(name, [])
            if len(there) == seed:
                there.append(run(name, seed))
                RESULTS.parent.mkdir(parents=True, exist_ok=True)
                write_json(RESULTS, results)
                print(name, there[-1], flush=True)
    text = PAGE.read_text(encoding="utf-8").partition(PART)[0] + table(results)
    with beside(PAGE) as draft:
        draft.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
