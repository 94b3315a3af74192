"""What memories trained while they read are worth: recall far back, outliers, split pairs, and parts.

    python benchmarks/inner.py                            # all of it, a quarter of an hour on one core
    python benchmarks/inner.py --only recall              # one part
    python benchmarks/inner.py --only                     # no run: the page from what there is

Writes the part *Measured* of the page on these memories and a picture beside it. Each run's numbers lie in
``benchmarks/results/inner``; a run that is there with the same settings is not made again.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from results import write

import memcore

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "inner", ROOT / "docs" / "inner.md"
PICTURE = ROOT / "docs" / "pictures" / "inner.png"
MARK = "## Measured\n"

PAIRS, KEYS, VALUES, LENGTH, LONG = 4, 8, 8, 24, 64
"""Pairs of an episode; symbols; steps of an episode, and of a longer one that is for testing alone."""
WIDTH, WINDOW, BATCH, STEPS, RATE, SEEDS, PART = 32, 8, 32, 400, 3e-3, 3, 50
BUCKETS = ((1, 7), (8, 15), (16, 23), (24, 63))
"""Distances from a pair to its question; the first one lies inside the window."""

FREE: dict[str, Any] = {"max_grad_norm": None}
"""These memories are linear, and written step by step or at a low rate: nothing has to be bounded."""
INNER: dict[str, Any] = {"heads": 2, "depth": 1, "mini_batch": 1, "rate": 0.5, **FREE}
MEMORY = memcore.NeuralMemory(WIDTH, **INNER)
RECALL: dict[str, memcore.Model] = {
    "NeuralMemory": MEMORY,
    "TitansMAC": memcore.TitansMAC(WIDTH, 2, segment=WINDOW, depth=1, rate=0.05, **FREE),
    "TitansMAG": memcore.TitansMAG(WIDTH, window=WINDOW, **INNER),
    "TitansMAL": memcore.TitansMAL(WIDTH, window=WINDOW, **INNER),
    "DeltaNet": memcore.DeltaNet(WIDTH, 2),
    "window attention": memcore.Attention(WIDTH, 2, window=WINDOW),
}
PARTS = {
    "all of it": (),
    "no momentum": ("momentum",),
    "no forgetting": ("forget",),
    "no convolution": ("conv",),
}
"""Of `NeuralMemory`, and what is switched off in each."""
OMEGA = {
    "c = 1": (1, ("conv",)),
    "c = 2": (2, ("conv",)),
    "c = 4": (4, ("conv",)),
    "c = 1 behind the convolution": (1, ()),
}


OUTLIERS = ("delta rule", "Yaad, switched", "Yaad, norm", "Yaad, coordinate", "Moneta")


FEATURES = KEYS + VALUES + 2
"""One for each symbol, for a question and for nothing."""


def one_hot(symbols: jax.Array, first: int) -> jax.Array:
    return jax.nn.one_hot(symbols + first, FEATURES)


def episodes(
    key: jax.Array, count: int, task: str, length: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Pairs, somewhere; nothing; questions at the end. ``(xs, answers, distances)``.

    ``"joined"`` tells each pair in one step, ``"split"`` a key and then its value.
    """
    pairs = PAIRS
    keys = jax.random.split(key, 4)
    shuffled = jax.vmap(lambda k: jax.random.permutation(k, KEYS)[:pairs])
    k = shuffled(jax.random.split(keys[0], count))
    v = jax.random.randint(keys[1], (count, pairs), 0, VALUES)
    told = one_hot(k, 0) + one_hot(v, KEYS)
    places = jnp.arange(pairs)
    if task == "split":
        told = jnp.stack([one_hot(k, 0), one_hot(v, KEYS)], 2).reshape(count, 2 * pairs, -1)
        places = 2 * places
    room, steps = length - pairs, told.shape[1]
    begin = jax.random.randint(keys[2], (count,), 0, room - steps + 1)
    blank = one_hot(jnp.full((count, room - steps), FEATURES - 1), 0)
    xs = jax.vmap(lambda x, n: jnp.roll(x, n, 0))(jnp.concatenate([told, blank], 1), begin)
    order = jax.vmap(lambda k: jax.random.permutation(k, pairs))(jax.random.split(keys[3], count))
    asked = one_hot(jnp.take_along_axis(k, order, 1), 0).at[..., -2].set(1.0)
    distances = room + jnp.arange(pairs) - begin[:, None] - places[order]
    return jnp.concatenate([xs, asked], 1), jnp.take_along_axis(v, order, 1), distances


def without(params: Any, off: tuple[str, ...]) -> Any:
    """Parameters in which the parts of that name do nothing: a gate is 0, a convolution is its last tap."""

    def of(path: Any, x: jax.Array) -> jax.Array:
        name, leaf = path[-2].key, path[-1].key
        if "conv" in off and name.endswith("_conv"):
            return jnp.zeros_like(x).at[-1].set(1.0)
        if name in off:
            return jnp.zeros_like(x) if leaf == "kernel" else jnp.full_like(x, -30.0)
        return x

    return jax.tree_util.tree_map_with_path(of, params)


def network(model: memcore.Model) -> memcore.Model:
    """One block of the model between linear maps."""
    return memcore.ResidualStack(FEATURES, model=model, layers=1, mlp_factor=2, out_features=VALUES)


def trained(model: memcore.Model, off: tuple[str, ...], task: str, steps: int, seeds: int) -> Any:
    """The parameters of all seeds, side by side."""
    net = network(model)
    schedule = optax.warmup_cosine_decay_schedule(0, RATE, 50, steps, RATE / 20)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule))

    def loss(params: Any, key: jax.Array) -> jax.Array:
        xs, wanted, _ = episodes(key, BATCH, task, LENGTH)
        said = net.apply(without(params, off), xs)[1][:, -wanted.shape[1] :]
        return optax.softmax_cross_entropy_with_integer_labels(said, wanted).mean()

    @jax.jit
    @jax.vmap
    def part(both: Any, keys: jax.Array) -> Any:
        def one(both: Any, key: jax.Array) -> Any:
            value, gradient = jax.value_and_grad(loss)(both[0], key)
            change, moments = optimizer.update(gradient, both[1], both[0])
            return (optax.apply_updates(both[0], change), moments), value

        return jax.lax.scan(one, both, keys)

    params = jax.vmap(lambda seed: net.init(jax.random.key(seed)))(jnp.arange(seeds))
    both = (params, jax.vmap(optimizer.init)(params))
    for i in range(steps // PART):
        keys = [
            jax.random.split(jax.random.fold_in(jax.random.key(s), i), PART) for s in range(seeds)
        ]
        both, losses = part(both, jnp.stack(keys))
        print(f"  {(i + 1) * PART}: {np.round(losses[:, -10:].mean(1), 3)}", flush=True)
    return jax.vmap(lambda params: without(params, off))(both[0])


def rights(model: memcore.Model, params: Any, task: str) -> dict[str, list[float]]:
    """Shares of right answers by distance, each seed's: of the trained length, and of the longer one."""
    net = network(model)
    found: dict[str, list[float]] = {}
    for length in (LENGTH, LONG):
        xs, wanted, distances = episodes(jax.random.key(10_000), 1024, task, length)
        run = jax.jit(jax.vmap(lambda p, xs: net.apply(p, xs)[1], in_axes=(0, None)))
        right = run(params, xs)[:, :, -wanted.shape[1] :].argmax(-1) == wanted
        if length == LENGTH:
            found["all"] = [float(r.mean()) for r in right]
        for least, most in BUCKETS:
            here = (distances >= least) & (distances <= most)
            if (most < LENGTH) == (length == LENGTH):
                found[f"{least}-{most}"] = [float(r[here].mean()) for r in right]
    return found


def outliers(seeds: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Errors of the rules themselves, by memory and share of outliers, at the best rate for each of both.

    8 keys of norm 1 in 16 dimensions, each told 20 times in a random order; a value has 16 signs, and a
    share of the tellings is 20 times as large. The error is ``|M(k) - v| / |v|`` at the end. The rate, and
    Yaad's threshold, are the best of a grid on streams that are not those of the result.
    """
    pairs, size, times, streams = 8, 16, 20, 64

    def told(seed: int, share: float) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(seed)
        k = rng.normal(size=(streams, pairs, size))
        k /= np.linalg.norm(k, axis=-1, keepdims=True)
        v = rng.choice([-1.0, 1.0], size=(streams, pairs, size))
        order = rng.permuted(np.tile(np.arange(pairs), (streams, times)), axis=1)
        each = np.arange(streams)[:, None]
        wrong = rng.random(order.shape) < share
        return k, v, k[each, order], v[each, order] * np.where(wrong, 20.0, 1.0)[..., None]

    def error(name: str, seed: int, share: float, rate: float, threshold: float) -> float:
        k, v, keys, values = (x[..., None, :] for x in told(seed, share))
        gate = np.ones(keys.shape[:-1])
        weight = np.zeros((1, size, size))
        if name == "delta rule":
            state, _ = memcore.ops.delta_rule(keys, keys, values, rate * gate)
            found = np.swapaxes(k, 1, 2) @ state
        elif name == "Moneta":
            state, _ = memcore.ops.moneta(keys, keys, values, rate * gate, gate, weight)
            _, found = memcore.ops.moneta(
                k, k, v, 0 * gate[:, :pairs], gate[:, :pairs], weight, state
            )
            found = np.swapaxes(found, 1, 2)
        else:
            loss = name.partition(", ")[2]
            gates = (rate * gate, gate, threshold * gate)
            state, _ = memcore.ops.yaad(keys, keys, values, *gates, weight, loss=loss)
            found = np.swapaxes(k, 1, 2) @ state
        far = np.linalg.norm(found - np.swapaxes(v, 1, 2), axis=-1) / math.sqrt(size)
        return float(np.mean(far)) if np.all(np.isfinite(far)) else math.inf

    rates = [2.0**-n for n in range(1, 12)]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in OUTLIERS:
        thresholds = (0.5, 1.0, 2.0, 4.0) if name.startswith("Yaad") else (0.0,)
        for share in (0.0, 0.05):
            grid = [(error(name, 99, share, r, d), r, d) for r in rates for d in thresholds]
            _, rate, threshold = min(grid)
            errors = [error(name, seed, share, rate, threshold) for seed in range(seeds)]
            mine = {"errors": errors, "rate": rate, "threshold": threshold}
            found.setdefault(name, {})[f"{share:.0%}"] = mine
    return found


def kept(
    name: str, settings: dict[str, Any], make: Callable[[], dict[str, Any]], wanted: bool
) -> dict[str, Any] | None:
    """The numbers of a run that lie there with these settings, or else are made, where they are wanted."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if found.get("settings") == settings:
        return found
    if not wanted:
        return None
    print(name, flush=True)
    found = {"settings": settings, **make()}
    write(path, json.dumps(found, indent=1) + "\n")
    return found


def learned(
    part: str, name: str, model: memcore.Model, off: tuple[str, ...], task: str, asked: Any
) -> dict[str, list[float]] | None:
    """The shares of right answers of a model on a task."""
    sizes = {"width": WIDTH, "batch": BATCH, "rate": RATE, "pairs": PAIRS, "length": LENGTH}
    settings = {"model": repr(model), "off": list(off), "steps": asked.steps, "seeds": asked.seeds}

    def make() -> dict[str, Any]:
        begun = time.process_time()
        right = rights(model, trained(model, off, task, asked.steps, asked.seeds), task)
        return {"right": right, "seconds": round(time.process_time() - begun)}

    found = kept(slug(part, name), settings | sizes, make, part in asked.only)
    return found and found["right"]


def slug(*names: str) -> str:
    return "-".join(names).replace(" = ", "").replace(", ", "-").replace(" ", "_").lower()


def recall(asked: Any) -> list[str]:
    runs = {
        name: learned("recall", name, model, (), "joined", asked) for name, model in RECALL.items()
    }
    found = {name: right for name, right in runs.items() if right}
    if not found:
        return []
    draw(found)
    heads = [f"{a} to {b}" for a, b in BUCKETS]
    rows = {name: [right[f"{a}-{b}"] for a, b in BUCKETS] for name, right in found.items()}
    picture = "![Right answers over the distance](pictures/inner.png)"
    return [*table(["distance", *heads], rows), "", picture]


def ablations(asked: Any) -> list[str]:
    runs = {
        name: learned("parts", name, MEMORY, off, "split", asked) for name, off in PARTS.items()
    }
    rows = {name: [right["all"]] for name, right in runs.items() if right}
    return table(["`NeuralMemory`", "right answers"], rows) if rows else []


def splits(asked: Any) -> list[str]:
    rows = {}
    for name, (window, off) in OMEGA.items():
        model = memcore.OmegaNet(WIDTH, 4, window=window)
        if right := learned("omega", name, model, off, "split", asked):
            rows[name] = [right["all"]]
    return table(["`OmegaNet`", "right answers"], rows) if rows else []


def errors(asked: Any) -> list[str]:
    def make() -> dict[str, Any]:
        return {"found": outliers(asked.seeds)}

    found = kept("outliers", {"seeds": asked.seeds}, make, "outliers" in asked.only)
    if not found:
        return []
    lines = ["| rule | no outliers | 5% of them | rate | threshold |", "|---|---|---|---|---|"]
    for name, by in found["found"].items():
        none, some = by["0%"], by["5%"]
        threshold = f"{some['threshold']:g}" if some["threshold"] else ""
        lines.append(
            f"| {name} | {spread(none['errors'], 1)} | {spread(some['errors'], 1)} | "
            f"{some['rate']:.2g} | {threshold} |"
        )
    return lines


def spread(values: list[float], times: float = 100) -> str:
    digits = 1 if times == 100 else 3
    return f"{times * np.mean(values):.{digits}f} ± {times * np.std(values):.{digits}f}"


def table(heads: list[str], rows: dict[str, list[list[float]]]) -> list[str]:
    """Shares of right answers in percent."""
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return lines + [f"| {n} | {' | '.join(map(spread, row))} |" for n, row in rows.items()]


def draw(found: dict[str, dict[str, list[float]]]) -> None:
    """Right answers over the distance from a pair to its question."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axis = figure.subplots()
    for name, right in found.items():
        shares = 100 * np.array([right[f"{a}-{b}"] for a, b in BUCKETS])
        how: dict[str, Any] = {"marker": "o", "markersize": 4, "capsize": 2, "label": name}
        axis.errorbar(range(len(BUCKETS)), shares.mean(1), shares.std(1), **how)
    axis.axhline(100 / VALUES, color="#888888", linestyle=":", label="chance")
    axis.axvline(0.5, color="#888888", linewidth=0.8)
    axis.set_xticks(range(len(BUCKETS)), [f"{a} to {b}" for a, b in BUCKETS])
    axis.set(xlabel="steps from a pair to its question", ylabel="right answers, %", ylim=(0, 103))
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=120)


SECTIONS: dict[str, tuple[str, Callable[[Any], list[str]], str]] = {
    "recall": (
        "### Recall beyond the window",
        recall,
        f"A row tells {PAIRS} pairs of a key and a value, each in one step, somewhere in {LENGTH} steps, and "
        f"asks for all of them in its last {PAIRS}. Windows of attention, and segments of `TitansMAC`, have "
        f"{WINDOW} steps.\nTested on rows of {LENGTH} steps, and from a distance of {LENGTH} on of {LONG}, "
        "which no model was trained on.",
    ),
    "outliers": (
        "### Outliers",
        errors,
        "The rules themselves, without training: `|M(k) - v| / |v|` after 8 keys in 16 dimensions were told "
        "20 times each, without outliers and with 5% of the values 20 times as large.\nEach rule has the "
        "constant rate, and threshold, that is best for it on other streams; those with outliers stand in "
        "the table.",
    ),
    "omega": (
        "### Pairs over two steps",
        splits,
        f"{PAIRS} pairs, first a key and then its value. `OmegaNet` is trained at every step on the last "
        "c pairs of what its projections make of a step; its convolution is off but in the last row.",
    ),
    "parts": (
        "### What the parts are worth",
        ablations,
        f"{PAIRS} pairs over two steps. Each part is off in training and in the test: a gate is 0, or the "
        "convolution passes its last input.",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", nargs="*", default=list(SECTIONS), choices=SECTIONS)
    asked = parser.parse_args()
    lines = [
        MARK,
        "By `python benchmarks/inner.py`, whose numbers lie in `benchmarks/results/inner`. One block of "
        f"width {WIDTH} and 2 heads (`OmegaNet`: 4) between linear maps, {asked.steps:,} updates "
        f"of {BATCH} rows, AdamW at {RATE:g}. Shares of right answers in percent, mean and deviation of "
        f"{asked.seeds} seeds; chance is {100 / VALUES:.1f}.",
    ]
    for title, make, about in SECTIONS.values():
        if found := make(asked):
            lines += ["", title, "", about, "", *found]
    write(PAGE, PAGE.read_text().partition(MARK)[0] + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
