"""Copy and reverse across segments: RMT, its options, and the same Transformer without memory.

    python benchmarks/rmt.py                              # all runs, six minutes a seed on an idle core
    python benchmarks/rmt.py --models rmt --seeds 1       # some of them

Trains on 3 segments, tests on up to 10, streams a million tokens, and says what a gradient keeps. Each run
writes its numbers into ``benchmarks/results/rmt``, and is not made again while they lie there; the tables of
all that lie there are printed for the page on RMT.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from results import write

import memcore

RESULTS = Path(__file__).parent / "results" / "rmt"
SEGMENT, SYMBOLS, FILLERS, WIDTH, BATCH, STEPS, PART = 8, 8, 8, 32, 32, 40_000, 50
RATE, DECAY, WARM = 3e-3, 0.5, 100
QUESTION = SYMBOLS + FILLERS
"""Tokens: symbols, fillers, and the one that asks."""
TASKS = ("copy", "reverse")
TRAINED, TESTS = 3, (2, 3, 5, 10)
# What an older memory's rows see reaches the tokens through a second layer: with one it changes nothing.
MODELS: dict[str, dict[str, Any]] = {
    "rmt": {},
    "rmt, rotary": {"position": "rope"},
    "rmt, separate": {"separate": True, "write_to_write": True},
    "rmt, past 2, future masked": {"past": 2},
    "rmt, two layers, past 2, future masked": {"past": 2, "layers": 2},
    "rmt, two layers, past 2, future seen": {"past": 2, "layers": 2, "mask_future": False},
    "rmt, XL": {"xl": True},
    "no memory": {},
}


def network(name: str) -> memcore.Model:
    """An RMT of one layer, if not said otherwise, between an embedding and a head."""
    size: dict[str, Any] = {"layers": 1, "heads": 2, "mlp_factor": 2.0, "segment": SEGMENT}
    model = memcore.RMT(WIDTH, memory_tokens=SEGMENT, **{**size, **MODELS[name]})
    around: dict[str, Any] = {"layers": 1, "mlp_factor": 0, "out_features": SYMBOLS}
    return memcore.ResidualStack(QUESTION + 1, model=model, tokens=True, **around)


def first_params(model: memcore.Model, seed: int) -> Any:
    """Parameters under which a memory stays what it is: what is added to it begins near 0.

    Positions and memory at starts are drawn for inputs as small as embeddings; those here are normed.
    """
    params = model.init(jax.random.key(seed))
    rmt = params["layer_0"]["model"]
    for name, larger in (("position", 50), ("memory", 10), ("read", 10), ("write", 10)):
        if name in rmt:
            rmt[name]["embedding"] = larger * rmt[name]["embedding"]
    layers = [rmt[name] for name in rmt if name.startswith("layer_")]
    for layer, (block, last) in product(layers, (("attention", "output"), ("mlp", "down"))):
        layer[block][last]["kernel"] = 0.1 * layer[block][last]["kernel"]
    return params


def changes(steps: int) -> optax.GradientTransformation:
    """Adam, with decay of what is added to rows, and with a last norm that keeps its scale of 1.

    Every border applies that norm to the memory again: a scale would be taken to its 9th power.
    """

    def marked(wanted: Callable[[list[str]], bool]) -> Callable[[Any], Any]:
        mark = jax.tree_util.tree_map_with_path
        return lambda tree: mark(lambda path, _: wanted([part.key for part in path]), tree)

    rate = optax.warmup_cosine_decay_schedule(0, RATE, WARM, steps, RATE / 20)
    adds = marked(lambda path: path[-2] in ("value", "output", "up", "down"))
    last_norm = marked(lambda path: path[:-1] == ["layer_0", "model", "norm"])
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(rate, weight_decay=DECAY, mask=adds),
        optax.masked(optax.set_to_zero(), last_norm),
    )


def lessons(key: jax.Array, task: str) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Three segments, of symbols, of fillers, of questions or mixed; the last asks at every place.

    ``(xs, answers, counts)``, all ``(BATCH, 24)``. A place has one symbol at most;
    ``counts`` are the questions whose symbol stood in a segment before.
    """
    a, b, c, d = jax.random.split(key, 4)
    shape = (BATCH, TRAINED, SEGMENT)
    symbols = jax.random.randint(a, shape, 0, SYMBOLS)
    fillers = jax.random.randint(b, shape, SYMBOLS, QUESTION)
    kind = jax.random.randint(c, (BATCH, TRAINED, 1), 0, 3)  # a filler, a symbol, or any
    kind = jnp.where(kind == 2, jax.random.randint(d, shape, 0, 3), kind).at[:, -1].set(2)
    told = kind == 1
    told = told & (jnp.cumsum(told, axis=1) == 1)
    xs = jnp.where(kind == 2, QUESTION, jnp.where(told, symbols, fillers))
    answers = jnp.cumsum(told * symbols, axis=1) - told * symbols
    known = jnp.cumsum(told, axis=1) - told > 0
    if task == "reverse":
        answers, known = answers[..., ::-1], known[..., ::-1]
    flat = (BATCH, TRAINED * SEGMENT)
    counts = (kind == 2) & known
    return xs.reshape(flat), answers.reshape(flat), counts.reshape(flat)


def examination(seed: int, segments: int, task: str) -> tuple[np.ndarray, np.ndarray]:
    """A segment of symbols, fillers, and one that asks: ``(xs (256, T), answers (256, 8))``."""
    rng = np.random.default_rng(seed + 2000)
    told = rng.integers(0, SYMBOLS, (256, SEGMENT))
    between = rng.integers(SYMBOLS, QUESTION, (256, SEGMENT * (segments - 2)))
    asks = np.full((256, SEGMENT), QUESTION)
    return np.concatenate([told, between, asks], 1), told[:, ::-1] if task == "reverse" else told


def logits(model: memcore.Model, params: Any, xs: Any, memory: bool) -> Any:
    """Without memory every segment is a sequence of its own."""
    rows = xs if memory else xs.reshape(-1, SEGMENT)
    return model.apply(params, rows)[1].reshape(*xs.shape, SYMBOLS)


def run(task: str, name: str, seeds: Sequence[int], steps: int) -> Iterator[dict[str, Any]]:
    """Train on 3 segments, all seeds side by side; shares of right answers over 2 to 10, by seed."""
    model, memory, begun = network(name), name != "no memory", time.time()
    optimizer = changes(steps)

    def loss(params: Any, key: jax.Array) -> jax.Array:
        xs, answers, counts = lessons(key, task)
        wrong = optax.softmax_cross_entropy_with_integer_labels
        losses = wrong(logits(model, params, xs, memory), answers)
        return jnp.sum(losses * counts) / jnp.sum(counts)

    def part(both: Any, keys: jax.Array) -> Any:
        def one(both: Any, key: jax.Array) -> Any:
            params, moments = both
            value, gradient = jax.value_and_grad(loss)(params, key)
            change, moments = optimizer.update(gradient, moments, params)
            return (optax.apply_updates(params, change), moments), value

        return jax.lax.scan(one, both, keys)

    parts = jax.jit(jax.vmap(part))
    params = stacked([first_params(model, seed) for seed in seeds])
    both = (params, jax.vmap(optimizer.init)(params))
    keys = jnp.stack([jax.random.split(jax.random.key(seed + 1000), steps) for seed in seeds])
    for i in range(0, steps, PART):
        both, losses = parts(both, keys[:, i : i + PART])
        if i % 2000 == 2000 - PART:
            means = " ".join(f"{mean:.1e}" for mean in losses.mean(1))
            print(f"{task}, {name}, seeds {seeds}: {i + PART} updates, losses {means}", flush=True)
    for i, seed in enumerate(seeds):
        params = jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), both[0])
        found: dict[str, Any] = {"right": shares(model, params, seed, task, memory), "steps": steps}
        if memory:
            found["carried"] = carried(model, params, seed)
        yield {**found, "loss": float(losses[i].mean()), "seconds": time.time() - begun,
               "device": jax.devices()[0].device_kind}  # fmt: skip


def stacked(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def shares(
    model: memcore.Model, params: Any, seed: int, task: str, memory: bool
) -> dict[int, float]:
    """Shares of right answers by number of segments; the parameters are NumPy's."""
    right = {}
    for segments in TESTS:
        xs, wanted = examination(seed, segments, task)
        said = logits(model, params, xs, memory)[:, -SEGMENT:].argmax(-1)
        right[segments] = float((said == wanted).mean())
    return right


def carried(model: memcore.Model, params: Any, seed: int) -> dict[int, dict[str, float]]:
    """The memory behind 1, 3, 5 and 10 segments; the parameters are NumPy's.

    ``"cosine"`` to what stood behind the first one, and ``"spread"``, the part of it in which sequences
    differ: the root mean square of its distance from their mean, over that of the memory.
    """
    xs, _ = examination(seed, 11, "copy")
    found: dict[int, dict[str, float]] = {}
    first = None
    for segments in (1, 3, 5, 10):
        state = model.apply(params, xs[:, : segments * SEGMENT])[0]
        memory = state["memory"]["layer_0"]["memory"][:, -1]
        first = memory if first is None else first
        size = np.linalg.norm(memory, axis=-1)
        cosine = np.sum(memory * first, axis=-1) / (size * np.linalg.norm(first, axis=-1))
        spread = np.sqrt(np.mean((memory - memory.mean(0)) ** 2) / np.mean(memory**2))
        found[segments] = {"cosine": float(cosine.mean()), "spread": float(spread)}
    return found


def stream(tokens: int, piece: int = 8192) -> dict[str, Any]:
    """Tokens in pieces from the returned state: the process's peak of memory on the way."""
    rmt = memcore.RMT(WIDTH, segment=SEGMENT, memory_tokens=SEGMENT)
    around: dict[str, Any] = {"layers": 1, "mlp_factor": 0, "out_features": SYMBOLS}
    model = memcore.ResidualStack(SYMBOLS + 2, model=rmt, tokens=True, **around)
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
    for task in TASKS:
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
    lines += ["| rmt | behind | cosine to the first | spread |", "|---|---|---|---|"]
    for stem, result in found.items():
        if "-rmt-seed" in stem:
            for segments, of in result["carried"].items():
                row = f"| {stem} | {segments} | {of['cosine']:.2f} | {of['spread']:.2f} |"
                lines.append(row)
    sizes = found.get("temporaries", {})
    lines += ["", "| segments | `fused` | `sequential` |", "|---|---|---|"]
    lines += [f"| {n} | {s['fused']:,} kB | {s['sequential']:,} kB |" for n, s in sizes.items()]
    return "\n".join([*lines, "", json.dumps(found.get("stream"))])


def slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "_")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=TASKS, choices=TASKS)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=MODELS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--stream", type=int, default=1_000_000, help="tokens; 0 for none")
    asked = parser.parse_args()
    if asked.seeds < 1 or asked.steps <= WARM:
        parser.error(
            f"seeds and steps are {asked.seeds}, {asked.steps}, expected 1 and {WARM + 1} or more"
        )

    def keep(name: str, result: dict[str, Any]) -> None:
        write(RESULTS / f"{name}.json", json.dumps(result, indent=1) + "\n")

    if asked.stream:
        keep("stream", stream(asked.stream))
        keep("temporaries", temporaries())
    for task, name in product(asked.tasks, asked.models):
        files = {seed: f"{task}-{slug(name)}-seed{seed}" for seed in range(asked.seeds)}
        seeds = [seed for seed, file in files.items() if not (RESULTS / f"{file}.json").exists()]
        if seeds:
            for seed, found in zip(seeds, run(task, name, seeds, asked.steps), strict=True):
                keep(files[seed], found)
    print(tables())


if __name__ == "__main__":
    main()
