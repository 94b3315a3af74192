"""Copy and reverse across segments: RMT, its options, and the same Transformer without memory.

    python benchmarks/rmt.py                              # all runs, two hours on two cores
    python benchmarks/rmt.py --models rmt --seeds 1       # some of them

Trains on 2 and 3 segments, tests on up to 10, streams a million tokens, and says what a gradient keeps. Each
run writes its numbers into ``benchmarks/results/rmt``; the tables of all that lie there are printed for the
page on RMT.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

import memcore

RESULTS = Path(__file__).parent / "results" / "rmt"
SEGMENT, SYMBOLS, WIDTH, BATCH, STEPS, RATE, PART = 8, 8, 32, 32, 4000, 3e-3, 50
BLANK, QUESTION = SYMBOLS, SYMBOLS + 1
"""Two more tokens: that of the segments between, and that of the last one, which asks."""
TESTS = (2, 3, 5, 10)
MODELS: dict[str, dict[str, Any]] = {
    "rmt": {},
    "rmt, rotary": {"position": "rope"},
    "rmt, separate": {"separate": True, "write_to_write": True},
    "rmt, past 2, future masked": {"past": 2},
    "rmt, past 2, future seen": {"past": 2, "mask_future": False},
    "rmt, XL": {"xl": True},
    "no memory": {},
}


def network(name: str) -> memcore.Model:
    """An RMT of two layers between an embedding and a head."""
    model = memcore.RMT(WIDTH, segment=SEGMENT, memory_tokens=SEGMENT, **MODELS[name])
    size: dict[str, Any] = {"layers": 1, "mlp_factor": 0, "out_features": SYMBOLS}
    return memcore.ResidualStack(SYMBOLS + 2, model=model, tokens=True, **size)


def episodes(key: jax.Array, count: int, segments: int, task: str) -> tuple[jax.Array, jax.Array]:
    """A segment of symbols, blank ones, and one that asks: ``(xs (count, T), answers)``."""
    told = jax.random.randint(key, (count, SEGMENT), 0, SYMBOLS)
    between = jnp.full((count, SEGMENT * (segments - 2)), BLANK)
    asks = jnp.full((count, SEGMENT), QUESTION)
    return jnp.concatenate([told, between, asks], 1), told[:, ::-1] if task == "reverse" else told


def answers(model: memcore.Model, params: Any, xs: jax.Array, memory: bool) -> jax.Array:
    """Logits in the last segment; without memory every segment is a sequence of its own."""
    starts = None if memory else jnp.arange(xs.shape[1]) % SEGMENT == 0
    return model.apply(params, xs, starts=starts)[1][:, -SEGMENT:]


def run(task: str, name: str, seed: int, steps: int) -> dict[str, Any]:
    """Train on 2 segments for a fifth of the steps, then on 2 and 3 in turns; shares of right answers."""
    model, memory, begun = network(name), name != "no memory", time.time()
    schedule = optax.warmup_cosine_decay_schedule(0, RATE, 100, steps, RATE / 20)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    params = model.init(jax.random.key(seed))

    def loss(params: Any, xs: jax.Array, wanted: jax.Array) -> jax.Array:
        logits = answers(model, params, xs, memory)
        return optax.softmax_cross_entropy_with_integer_labels(logits, wanted).mean()

    @functools.partial(jax.jit, static_argnums=2)
    def part(both: Any, key: jax.Array, segments: int) -> Any:
        def one(both: Any, key: jax.Array) -> Any:
            params, moments = both
            gradient = jax.grad(loss)(params, *episodes(key, BATCH, segments, task))
            change, moments = optimizer.update(gradient, moments, params)
            return (optax.apply_updates(params, change), moments), None

        return jax.lax.scan(one, both, jax.random.split(key, PART))[0]

    both = (params, optimizer.init(params))
    for i, key in enumerate(jax.random.split(jax.random.key(seed + 1000), steps // PART)):
        both = part(both, key, 2 if i * PART < steps // 5 or i % 2 else 3)
    right = {}
    for segments in TESTS:
        xs, wanted = episodes(jax.random.key(seed + 2000), 256, segments, task)
        said = jax.jit(answers, static_argnums=(0, 3))(model, both[0], xs, memory)
        right[segments] = float((said.argmax(-1) == wanted).mean())
    return {"right": right, "steps": steps, "seconds": time.time() - begun}


def stream(tokens: int, piece: int = 8192) -> dict[str, Any]:
    """Tokens in pieces from the returned state: the process's peak of memory on the way."""
    model = network("rmt")
    params, state = model.init(jax.random.key(0)), None
    xs, peaks, begun = jnp.zeros((piece,), jnp.int32), [], time.time()
    for _ in range(-(-tokens // piece)):
        state, ys = model.apply(params, xs, state)
        jax.block_until_ready(ys)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    tenth = len(peaks) // 10
    seconds = time.time() - begun
    return {"tokens": len(peaks) * piece, "MB after a tenth": peaks[tenth], "MB at the end": peaks[-1],
            "tokens per second": len(peaks) * piece / seconds}  # fmt: skip


def temporaries(width: int = 32, segment: int = 16) -> dict[str, dict[str, int]]:
    """Kilobytes of temporaries of a compiled gradient, by method and number of segments."""
    model = memcore.RMT(width, segment=segment)
    params = model.init(jax.random.key(0))
    found: dict[str, dict[str, int]] = {}
    for method in ("fused", "sequential"):
        for segments in (4, 16, 64):
            xs = jnp.zeros((1, segments * segment, width))

            def loss(params: Any, xs: jax.Array, method: str = method) -> jax.Array:
                return jnp.sum(model.apply(params, xs, method=method)[1] ** 2)

            program = jax.jit(jax.grad(loss)).lower(params, xs).compile()
            size = program.memory_analysis().temp_size_in_bytes
            found.setdefault(str(segments), {})[method] = round(size / 1000)
    return found


def tables() -> str:
    """All results that lie in the folder."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    lines = []
    for task in ("copy", "reverse"):
        heads = " | ".join(f"{n} segments" for n in TESTS)
        lines += [f"| {task} | {heads} | seeds |", "|---|" + "---|" * (len(TESTS) + 1)]
        for name in MODELS:
            runs = [found[s]["right"] for s in found if s.startswith(f"{task}-{slug(name)}-seed")]
            if runs:
                shares = " | ".join(
                    ", ".join(f"{100 * r[str(n)]:.1f} %" for r in runs) for n in TESTS
                )
                lines.append(f"| {name} | {shares} | {len(runs)} |")
        lines.append("")
    sizes = found.get("temporaries", {})
    lines += ["| segments | `fused` | `sequential` |", "|---|---|---|"]
    lines += [f"| {n} | {s['fused']:,} kB | {s['sequential']:,} kB |" for n, s in sizes.items()]
    return "\n".join([*lines, "", json.dumps(found.get("stream"))])


def slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "_")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=["copy", "reverse"])
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--stream", type=int, default=1_000_000, help="tokens; 0 for none")
    asked = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)

    def write(name: str, result: dict[str, Any]) -> None:
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")

    if asked.stream:
        write("stream", stream(asked.stream))
        write("temporaries", temporaries())
    for seed in range(asked.seeds):
        for task in asked.tasks:
            for name in asked.models:
                write(f"{task}-{slug(name)}-seed{seed}", run(task, name, seed, asked.steps))
    print(tables())


if __name__ == "__main__":
    main()
