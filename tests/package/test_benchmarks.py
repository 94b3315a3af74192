"""The benchmarks' own code, at tiny sizes: that they compare what they say, and keep what they measured.

No test here looks at a time.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import ahead
import flops
import gated
import harness
import inner
import jax
import jax.numpy as jnp
import language
import methods
import numpy as np
import pictures
import products
import pytest
import remember_first
import report
import rmt
import run
import shapes
import steps
import streaming
from jobs import Job, NotRun
from peers import prefix_scan
from promises import promises
from results import Results, commit
from sizes import FULL, Sizes

from memcore.engine import auto

TINY = Sizes(batch=1, length=5, heads=1, size=4, width=4, window=2)
DEVICE = {"platform": "cpu", "kind": "cpu", "processor": "A processor", "cores": 2}


def side(seconds: float) -> dict[str, float]:
    return {"seconds": seconds, "compile_seconds": 10 * seconds, "temporaries": 1_000_000}


def comparison(name: str, faster: float) -> dict[str, object]:
    return {"name": name, "ours": side(1), "theirs": side(faster), "same": True, "note": ""}


def rule(method: str, seconds: float, length: int = 64) -> dict[str, object]:
    sizes = {"length": length, "size": 8, "batch": 4}
    found = {"rule": "delta_rule", "method": method, "chunk": None, "sizes": sizes, **side(seconds)}
    found["auto"] = "fused 16"
    return {**found, "sweep": "base" if length == 64 else "length", "flops": 2e9, "fraction": 0.25}


@pytest.fixture
def results(tmp_path) -> Results:
    found = Results(tmp_path / "cpu.json", DEVICE)
    found.begin("prefix_scan", (), "B=1")
    found.add("prefix_scan", comparison("gated delta rule", 45.0))
    found.begin("flax", (), "B=1")
    found.add("flax", {"name": "lstm", "failure": "memcore has no LSTM"})
    found.begin("rules", (), "B=1")
    found.add("rules", {"sweep": "matmul", "size": 1024, "flops": 8e9, **side(0.1)})
    for row in (rule("fused", 0.25), rule("sequential", 1.0), rule("fused", 2.5, length=640)):
        found.add("rules", row)
    found.begin("streaming", (), "B=1")
    for length, seconds in ((8, 0.5), (80, 5.5)):
        row = {"rule": "delta_rule", "mode": "forward and gradient", "length": length, "block": 8}
        per_token = seconds / length
        row |= {"seconds": seconds, "seconds_per_token": per_token, "growth": 0, "temporaries": 3}
        found.add("streaming", row)
    return found


def test_what_differs_is_not_timed():
    x = jnp.arange(3.0)
    f, args = (lambda x: x * x), (x,)
    harness.compare(harness.Pair("equal", f, lambda x: x**2, args))
    with pytest.raises(harness.Different, match="other values"):
        harness.compare(harness.Pair("other values", f, lambda x: 1.1 * x * x, args))

    def no_gradient(x):
        return jax.lax.stop_gradient(x) * x

    with pytest.raises(harness.Different, match="other gradient"):
        harness.compare(harness.Pair("other gradient", f, no_gradient, args))
    with pytest.raises(harness.Different, match="shapes"):
        harness.compare(harness.Pair("other shape", f, lambda x: x[None] ** 2, args))


@pytest.mark.parametrize("name", list(prefix_scan.pairs(TINY)))
def test_opponents_compute_the_same(name):
    row = harness.compare(prefix_scan.pairs(TINY)[name]())
    assert row.same and row.ours.temporaries is not None and row.theirs.seconds > 0


def test_medians_drop_the_first_run_of_a_block():
    calls = []
    program = harness.Program(lambda: calls.append(1))
    [found] = harness.measure([program], harness.Effort(blocks=2, seconds=0, least=3, most=3))
    assert len(calls) == 2 + 2 * (3 + 1) and found.compile_seconds is None


@pytest.fixture
def compiles(monkeypatch) -> list[str]:
    """Which functions are compiled, one after the other; the n-th takes 2 n^2 seconds, as if."""
    names: list[str] = []

    def numbered(f, args):
        names.append(f.__name__)
        return plain(f, args)[0], 2.0 * len(names) ** 2

    plain = harness._compile
    monkeypatch.setattr(harness, "_compile", numbered)
    return names


def one(x):
    return x + 1


def two(x):
    return x + 2


def test_two_sides_compile_in_turns(compiles):
    args = (jnp.zeros(2),)
    ours, theirs = harness.compiled_in_turns([(one, args), (two, args)], rounds=3)
    assert compiles == ["one", "two"] * 3
    assert (ours.compile_seconds, theirs.compile_seconds) == (2.0 * 3**2, 2.0 * 4**2)
    assert (ours.run() == 1).all() and (theirs.run() == 2).all()


def test_a_quick_compilation_is_timed_three_times(compiles):
    args = (jnp.zeros(2),)
    assert harness.compiled(one, args).compile_seconds == 2.0 * 2**2 and len(compiles) == 3
    assert harness.compiled(one, args).compile_seconds == 2.0 * 4**2 and len(compiles) == 4
    compiles.clear()
    assert harness.compiled(one, args, once=True).compile_seconds == 2.0 and len(compiles) == 1


def test_every_rule_runs_by_every_method():
    jobs = list(methods.numpy_jobs(replace(TINY, length=40), harness.QUICK, quick=True))
    assert {job.row["rule"] for job in jobs} == set(methods.inputs(np.random.default_rng(0), TINY))
    for job in jobs:
        assert job.run()["seconds"] > 0


def test_every_rule_behind_auto_is_measured():
    found = methods.inputs(np.random.default_rng(0), TINY)
    assert set(auto.TABLE) <= {rule.split()[0] for rule in found}
    assert set(flops.PER_STEP) == set(found)


def test_a_costly_method_is_left_out_of_the_sweeps():
    before = Sizes(length=1024), harness.Side(1.0, 1.0, 10)
    methods._affordable(before, Sizes(length=512))
    with pytest.raises(NotRun, match="about 4 s"):
        methods._affordable(before, Sizes(length=4096))
    with pytest.raises(NotRun, match="about 4 s"):
        methods._affordable(before, Sizes(length=1024, batch=16))
    with pytest.raises(NotRun, match="compiles for 60 s"):
        methods._affordable((Sizes(length=1024), harness.Side(0.1, 60.0, 10)), Sizes(length=512))


def test_a_stream_carries_its_state():
    block = streaming.block_program("linear_attention", False, TINY)
    once = block.run(block.empty)
    long = streaming.read(block, keep=(1, 3))
    assert set(long.before) == {1, 3} and len(long.seconds) == 3 and len(long.memory) == 4
    assert np.allclose(np.asarray(long.before[3][0]), 2 * np.asarray(once[0]))


def test_every_length_of_a_stream_is_measured():
    rows = streaming.streams("linear_attention", False, TINY, (4, 8, 32), block=8, turns=1)
    assert [row["seconds_per_token"] > 0 for row in rows.values()] == [True] * 3
    assert rows[4]["growth"] is None and rows[8]["growth"] <= rows[32]["growth"]
    assert rows[8]["seconds"] == 8 * rows[8]["seconds_per_token"]


def test_growth_is_the_most_that_was_in_use():
    read = streaming.Read({}, [], [10, 12, 40, 15])
    assert [read.growth(blocks) for blocks in (1, 2, 3)] == [2, 30, 30]
    assert streaming.Read({}, [], [None, None]).growth(1) is None


def test_report(results):
    text = report.markdown(results.data)
    assert "| gated delta rule | 45x | 1,000 | 45,000 | 45x | 1 | 1 | the same |" in text
    assert "| lstm |  |  |  |  |  |  |  | memcore has no LSTM |" in text
    assert "| delta_rule | **fused** | 250 | 2.5 | 1 | 8 | 25% |" in text
    assert "| delta_rule | sequential | 1,000 | 10 | 1 | 2 | 25% |" in text
    assert "| delta_rule | fused | 250 | 2,500 |" in text
    assert "| delta_rule | fused | 1 | 1 |" in text  # megabytes
    assert "| delta_rule | fused | fused 16 |" in text
    assert "delta_rule, forward and gradient: 1.10" in text


def streamed(length: int, per_token: float, growth: int) -> dict[str, object]:
    row = {"rule": "linear_attention", "mode": "forward", "length": length, "block": 8}
    row |= {"temporaries": 3}
    return {**row, "seconds": 1.0, "seconds_per_token": per_token, "growth": growth}


def test_promises(tmp_path):
    found = Results(tmp_path / "cpu.json", DEVICE)
    found.begin("prefix_scan", (), str(FULL))
    found.add("prefix_scan", comparison("gated delta rule", 39.0))
    found.begin("mlstm_kernels", (), str(FULL))
    for name, faster in (("mLSTM, chunks of 32", 2.0), ("mLSTM, chunks of 64", 1.5)):
        found.add("mlstm_kernels", comparison(name, faster))
    found.begin("flax", (), "other sizes")
    found.add("flax", comparison("GRU", 3.0))
    found.begin("streaming", (), str(FULL))
    for row in (streamed(4**8, 1.0, 0), streamed(4**9, 1.02, 300), streamed(4**10, 1.09, 300)):
        found.add("streaming", row)
    text = promises(found.data["groups"])
    start = "| gated delta rule, against prefix scan:"
    assert f"{start} faster | at least 40x | 39x | **missed** |" in text
    assert f"{start} smaller temporaries | at least 10x | 1x | **missed** |" in text
    assert f"{start} faster compiled | at least 8x | 39x | kept |" in text
    assert "| mLSTM, against mlstm kernels: faster | at least 1x | 1.5x | kept |" in text
    assert "| GRU, against flax: faster | at least 1x |  | not measured |" in text
    assert "largest over smallest | at most 1.1 | 1.09 | kept |" in text
    assert "bytes more per token after 262,144 tokens | at most 4 | 0 | kept |" in text
    assert "and gradient: time per token, largest over smallest | at most 1.1 |  | not" in text
    assert text in report.markdown(found.data)
    found.add("streaming", streamed(4**10, 1.2, 300 + 5 * (4**10 - 4**9)))
    text = promises(found.data["groups"])
    assert "largest over smallest | at most 1.1 | 1.2 | **missed** |" in text
    assert "bytes more per token after 262,144 tokens | at most 4 | 5 | **missed** |" in text


def unsupported(data: dict[str, object]) -> list[str]:
    """The rows of `auto.TABLE` that say "measured" and that these results do not bear out."""
    found = []
    for rule, by_device in auto.TABLE.items():
        for device, group in {"cpu": (("numpy", "numpy"), ("cpu", "rules"))}.get(
            data.get("device", DEVICE)["platform"], (("gpu", "rules"),)
        ):
            choice = by_device[device]
            if not choice.why.startswith("measured"):
                continue
            rows = [
                row
                for row in data["groups"].get(group, {"rows": []})["rows"]
                if row["sweep"] == "base" and row["rule"] == rule and "seconds" in row
            ]
            seconds = {(row["method"], row["chunk"]): row["seconds"] for row in rows}
            sizes = Sizes(**rows[0]["sizes"]) if rows else FULL
            mine = seconds.get(methods.chosen(rule, device, sizes))
            if mine is None:
                found.append(f"{rule} on {device}: no row")
            elif mine > 1.25 * min(seconds.values()):
                found.append(f"{rule} on {device}: {mine / min(seconds.values()):.2f} of the best")
    return found


def test_auto_takes_what_was_measured_fastest():
    """Stored results of a CPU and of a GPU: nothing is timed here."""
    files = sorted((Path(run.__file__).parent / "results").glob("*.json"))
    every = [json.loads(path.read_text()) for path in files]
    assert {data["device"]["platform"] for data in every} == {"cpu", "gpu"}
    assert [unsupported(data) for data in every] == [[]] * len(every)


README_ROWS = {
    ("a prefix scan over full elements", "gated delta rule"): ("prefix_scan", "gated delta rule"),
    ("the same with that scan", "gated DeltaNet layer"): ("prefix_scan", "GatedDeltaNet layer"),
    ("a prefix scan over full elements", "linear attention"): ("prefix_scan", "linear attention"),
    ("a prefix scan over full elements", "diagonal complex recurrence"): (
        "prefix_scan",
        "diagonal complex recurrence",
    ),
    ("memax's `Attention`", "sliding-window attention"): ("memax", "Attention"),
    ("memax's `LRU`", "LRU"): ("memax", "LRU"),
    ("memorax's `LinearAttentionCell`", "linear attention"): ("memorax", "LinearAttentionCell"),
    ("mlstm_kernels' native JAX, chunks of 64", "mLSTM"): (
        "mlstm_kernels",
        "mLSTM, its chunks of 64",
    ),
    ("Flax's `nn.RNN(GRUCell)`", "GRU"): ("flax", "nn.RNN(GRUCell)"),
    ("Equinox's `GRUCell` in `lax.scan`", "GRU"): ("equinox", "GRUCell in lax.scan"),
    ("Flax's `nn.RNN(OptimizedLSTMCell)`", "LSTM"): ("flax", "nn.RNN(OptimizedLSTMCell)"),
    ("Equinox's `LSTMCell` in `lax.scan`", "LSTM"): ("equinox", "LSTMCell in lax.scan"),
    ("`torch.nn.LSTM`", "LSTM"): ("torch", "nn.LSTM"),
}


def test_the_readme_has_the_stored_numbers():
    """Stored results: nothing is timed here."""
    root = Path(run.__file__).parent
    groups = json.loads((root / "results" / "cpu.json").read_text())["groups"]
    text = (root.parent / "README.md").read_text(encoding="utf-8")
    for (beside, what), (group, name) in README_ROWS.items():
        [row] = [row for row in groups[group]["rows"] if row["name"] == name]
        ratio = row["theirs"]["seconds"] / row["ours"]["seconds"]
        times = f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.1f}x"
        assert f"| {what} | {beside} | {times} |" in text


def stored(name: str) -> dict[tuple[object, ...], dict[str, object]]:
    path = Path(run.__file__).parent / "results" / name / f"{name}.json"
    return {tuple(row["name"]): row for row in json.loads(path.read_text())["rows"]}


def page(name: str) -> str:
    """A page's text on one line."""
    path = Path(run.__file__).parent.parent / name
    return " ".join(path.read_text(encoding="utf-8").split())


def test_the_pages_have_the_stored_numbers_of_gated_cells():
    """Stored results: nothing is timed here."""
    rows, told = stored("gated"), page("README.md")
    assert len({name[2] for name in rows}) == len(gated.SHAPES) == 8 and "over eight shapes" in told
    peers = {"equinox": "Equinox", "flax": "Flax", "scan": "a scan"}
    for kind, peer in dict.fromkeys(name[:2] for name in rows):
        own = {name: gated.ratio(row) for name, row in rows.items() if name[:2] == (kind, peer)}
        spans = [gated.span([x for name, x in own.items() if name[3] == g]) for g in (False, True)]
        every, mean = (
            gated.span(list(own.values())),
            f"{gated.geometric_mean(list(own.values())):.2f}",
        )
        line = f"| `{kind}` | {peers[peer]} | {spans[0]} | {spans[1]} | {mean} |"
        assert line in page("docs/benchmarks.md")
        if kind in ("GRU", "LSTM"):
            assert re.search(rf"{every} [^,;]*\({mean}", told), (kind, peer, every, mean)


def test_the_pages_have_the_stored_numbers_by_shape():
    """Stored results: nothing is timed here."""
    rows = stored("shapes")
    for rule in shapes.RULES:
        count = len([name for name in rows if name[0] == rule])
        spans = [shapes.span(rows, rule, of) for of in ("seconds", "temporaries")]
        assert f"| {count} | {spans[0]} | {spans[1]} |" in page("docs/benchmarks.md"), rule
    faster = [row["theirs"]["seconds"] / row["ours"]["seconds"] for row in rows.values()]
    assert f"memories {min(faster):.1f} to {max(faster):.0f} times as fast" in page("README.md")


def test_a_choice_without_a_measurement_is_found(monkeypatch):
    measured = {name: auto.Choice("fused", 16, "measured") for name in ("numpy", "cpu")}
    assumed = {name: auto.Choice("fused") for name in ("numpy", "cpu")}
    monkeypatch.setattr(auto, "TABLE", {"delta_rule": measured, "softmax": assumed})
    rows = [rule("fused", 1.2), {**rule("fused", 1.24), "chunk": 16}, rule("sequential", 1.0)]
    data = {"groups": {"rules": {"rows": rows}}}
    assert unsupported(data) == ["delta_rule on numpy: no row"]
    data["groups"]["numpy"] = {"rows": [rows[1], rule("sequential", 0.5)]}
    assert unsupported(data) == ["delta_rule on numpy: 2.48 of the best"]


def test_what_auto_takes_is_named_and_a_candidate():
    for name in methods.inputs(np.random.default_rng(0), TINY):
        assert methods.chosen(name, "cpu", TINY) in methods.candidates(name, "cpu")
    assert methods.chosen("delta_product", "cpu", TINY) == methods.chosen("delta_rule", "cpu", TINY)
    assert methods.chosen("widened_linear_recurrence", "cpu", TINY) == ("fused", 32)
    assert methods.chosen("widened_linear_recurrence", "cpu", FULL) == ("fused", 16)
    for name, by_device in auto.TABLE.items():
        for device in ("numpy", "cpu", "gpu"):
            choice = by_device[device]
            assert (choice.method, choice.chunk_size) in methods.candidates(name, device)


def test_a_device_that_is_not_there_has_an_empty_column(results):
    text = report.summary([results.data])
    assert "GPU (none was at hand)" in text
    assert "| prefix scan | gated delta rule | 45x |  |" in text
    gpu = {"device": {**DEVICE, "platform": "gpu", "kind": "A card"}, "groups": {}}
    assert "none was at hand" not in report.summary([results.data, gpu])


def test_pictures(results, tmp_path):
    names = pictures.draw(results.data, tmp_path, "cpu")
    lengths = ["cpu-time_against_length.png", "cpu-memory_against_length.png"]
    assert names == [*lengths, "cpu-ratios.png"]
    wide = {**rule("fused", 0.5), "sizes": {"length": 64, "size": 16, "batch": 8}}
    for sweep in ("width", "batch"):
        results.add("rules", {**wide, "sweep": sweep})
    names = pictures.draw(results.data, tmp_path, "cpu")
    assert names == [*(f"cpu-{title}.png" for title in pictures.GROWTH), "cpu-ratios.png"]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in names)
    assert not list(tmp_path.glob("*.part"))


def test_a_group_measured_again_replaces_its_rows(results):
    again = Results(results.path, DEVICE)
    again.begin("flax", (), "B=1")
    again.add("flax", comparison("GRU", 1.5))
    kept = json.loads(results.path.read_text())["groups"]
    assert [row["name"] for row in kept["flax"]["rows"]] == ["GRU"]
    assert kept["rules"] == results.data["groups"]["rules"]


def test_a_group_keeps_the_device_it_was_measured_on(results):
    other = {**DEVICE, "processor": "Another one"}
    again = Results(results.path, other)
    again.begin("flax", (), "B=1")
    again.add("flax", comparison("GRU", 1.5))
    kept = json.loads(results.path.read_text())["groups"]
    assert kept["rules"]["device"] == DEVICE and kept["flax"]["device"] == other
    text = report.markdown(again.data)
    assert text.startswith("# A processor, 2 cores; Another one, 2 cores\n")
    assert "; Another one, 2 cores; B=1" in text and "; A processor, 2 cores; B=1" in text


def test_a_file_without_devices_of_groups_gives_them_its_own(results):
    for group in results.data["groups"].values():
        del group["device"]
    results.path.write_text(json.dumps(results.data))
    again = Results(results.path, {**DEVICE, "processor": "Another one"})
    assert again.data["groups"]["flax"]["device"] == DEVICE


def test_the_commit_is_kept_where_there_is_one(results, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(results.path.parent / "no repository"))
    assert commit() is None
    monkeypatch.setattr("results.commit", lambda: "0123456789ab")
    results.begin("flax", (), "B=1")
    results.add("flax", comparison("GRU", 1.5))
    assert "; commit 0123456789ab; python" in report.markdown(results.data)


def jobs(n, effort, quick):
    def fails(error):
        raise error

    yield Job("good", lambda: {"seconds": 1.0}, {"name": "good"})
    yield Job("broken", lambda: fails(ValueError("no\nmore")), {"name": "broken"})
    yield Job("left out", lambda: fails(NotRun("no LSTM")), {"name": "left out"})
    yield Job("wrong", lambda: fails(harness.Different("wrong: by 1e0")), {"name": "wrong"})


def test_a_row_that_fails_keeps_its_reason(results, monkeypatch):
    monkeypatch.setitem(run.OWN, "import_time", jobs)
    assert run.run_group("import_time", results, quick=True) is False
    rows = {row["name"]: row.get("failure") for row in results.rows("import_time")}
    assert rows == {"good": None, "broken": "ValueError: no", "left out": "no LSTM",
                    "wrong": "Different: wrong: by 1e0"}  # fmt: skip


def test_a_peer_that_is_absent_is_a_row_unless_it_was_measured_elsewhere(results, monkeypatch):
    def absent(group):
        raise ModuleNotFoundError("No module named 'peer'")

    monkeypatch.setattr(run, "jobs_of", absent)
    before = results.rows("prefix_scan")
    for group in ("prefix_scan", "memorax"):
        assert run.run_group(group, results, quick=True) is True
    assert results.rows("prefix_scan") == before
    assert "No module named 'peer'" in report.markdown(results.data)


def test_a_peer_that_breaks_is_a_row(results, monkeypatch):
    def broken(*_):
        raise TypeError("made for another version")

    monkeypatch.setattr(prefix_scan, "pairs", broken)
    assert run.run_group("prefix_scan", results, quick=True) is True
    [row] = results.rows("prefix_scan")
    assert row == {"name": "prefix_scan", "failure": "TypeError: made for another version"}
    monkeypatch.setattr(run.importlib, "import_module", broken)
    assert run.run_group("prefix_scan", results, quick=True) is True
    assert run.run_group("memorax", results, quick=True) is True
    assert results.rows("memorax")[0]["failure"] == "TypeError: made for another version"


def test_one_command_writes_all(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(run.OWN, "import_time", lambda *_: iter(list(jobs(*_))[:2]))
    arguments = ["--quick", "--results", str(tmp_path), "--only", "import_time"]
    assert run.main(arguments) == 0
    out = capsys.readouterr()
    assert out.out.strip().endswith(".md") and "ValueError: no" in out.err
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".md"}


def test_an_interrupted_run_keeps_its_rows(tmp_path, capsys, monkeypatch):
    def interrupted(n, effort, quick):
        yield Job("good", lambda: {"seconds": 1.0}, {"name": "good"})
        raise KeyboardInterrupt

    monkeypatch.setitem(run.OWN, "import_time", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.main(["--results", str(tmp_path), "--only", "import_time"])
    assert "| good | 1,000 |" in (tmp_path / "cpu.md").read_text()
    [row] = json.loads((tmp_path / "cpu.json").read_text())["groups"]["import_time"]["rows"]
    assert row["name"] == "good"


def test_remember_first_asks_for_the_first_symbol():
    xs, starts, answers = (np.asarray(a) for a in remember_first.rows(jax.random.key(0), 3))
    assert np.flatnonzero(starts).tolist() == [0, 20, 40, 60, 80]
    assert np.array_equal(xs[..., -1], np.broadcast_to(starts, (3, 100)))
    for row, said in zip(xs, answers, strict=True):
        assert [np.argmax(row[t - t % 20, :3]) for t in range(100)] == said.tolist()


def test_remember_first_says_who_misses():
    shares = {"elman": 0.7, "gru": 0.7, "identity": 0.3}
    text = remember_first.table(
        {name: [{"parallel": 1.0, "step": share}] for name, share in shares.items()}
    )
    verdicts = dict(re.findall(r"^\| `(\w+)` .*\| ([^|]+) \|$", text, re.M))
    assert verdicts["elman"] == "reached" and verdicts["gru"] == "**missed**"
    assert verdicts["identity"] == "cannot: keeps nothing" and verdicts["lru"] == "not run yet"


def test_the_page_of_remember_first_is_its_results():
    results = json.loads(remember_first.RESULTS.read_text())
    assert remember_first.PAGE.read_text().endswith(remember_first.table(results))
    assert set(results) <= set(remember_first.MEMORIES)


@pytest.mark.parametrize("kind", gated.OTHERS)
@pytest.mark.parametrize("gradient", [False, True])
def test_a_plain_scan_computes_what_a_gated_cell_does(kind, gradient, monkeypatch):
    monkeypatch.setattr(gated, "EFFORT", harness.QUICK)
    monkeypatch.setattr(gated, "A_START", 0.3)
    row = gated.compare(kind, "scan", "2x9x4", gradient, starting=True)
    assert row["name"] == [kind, "scan", "2x9x4", gradient, True] and gated.ratio(row) > 0


def test_an_elman_computes_what_flax_does(monkeypatch):
    monkeypatch.setattr(gated, "EFFORT", harness.QUICK)
    monkeypatch.setattr(gated, "A_START", 0.3)
    for starting in (False, True):
        row = gated.compare("Elman", "flax", "2x9x4", True, starting)
        assert row["name"][:2] == ["Elman", "flax"] and gated.ratio(row) > 0


def test_what_is_promised_of_a_step():
    rows = [{"GRU, a step": us, "a plain GRU, a step": 90.0} for us in (30.0, 49.0, 70.0)]
    assert steps.promise("GRU, a step", rows) == "at most 50 us: kept"
    assert steps.promise("GRU, a step", rows[2:]) == "at most 50 us: **missed**"
    assert steps.promise("a plain GRU, a step", rows) == ""


def test_what_is_promised_of_gated_cells():
    assert gated.promise([1.0, 1.4]).endswith("0 of 2 rows below, 1.18 in the mean: kept.")
    assert gated.promise([0.9, 1.6]).endswith("1 of 2 rows below, 1.20 in the mean: **missed**.")
    assert gated.promise([1.0, 1.2]).endswith("0 of 2 rows below, 1.10 in the mean: **missed**.")


def test_a_cell_stands_beside_a_plain_scan_or_beside_peers():
    pairs = [
        (kind, peer) for kind in gated.KINDS for peer in gated.PEERS if gated.beside(kind, peer)
    ]
    assert ("GRU", "flax") in pairs and ("MGU", "scan") in pairs
    assert len(pairs) == 2 * 2 + len(gated.OTHERS) + 1  # Flax has an Elman


@pytest.mark.parametrize(
    ("rule", "shape"), [("diagonal", "2x9x4"), ("linear_attention", "2x9x2x4")]
)
def test_rules_by_shape_are_in_a_table(rule, shape, monkeypatch):
    monkeypatch.setattr(shapes, "EFFORT", harness.QUICK)
    row = shapes.compare(rule, shape)
    assert row["ours"]["seconds"] > 0 and row["theirs"]["temporaries"] > 0
    row |= {"name": [rule, shapes.RULES[rule][0]], "ours": side(0.002), "theirs": side(0.006)}
    found = {"device": DEVICE, "commit": "abc", "versions": {"jax": "1"}, "rows": [row]}
    assert "| 3x (2, 6; 1x) |" in shapes.markdown(found)


def test_the_page_has_the_ranges_by_shape():
    """Stored results: nothing is timed here."""
    root = Path(run.__file__).parent
    page = (root.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    text = gated.markdown(json.loads(gated.PATH.read_text()))
    titles = {"equinox": "Equinox", "flax": "Flax", "scan": "a scan"}
    for kind, module in itertools.product(gated.KINDS, gated.PEERS):
        if not gated.beside(kind, module):
            continue
        peer = titles[module]
        part = text.partition(
            f"## {kind}, beside {peer.lower().replace('a scan', 'a plain scan')}\n"
        )[2]
        forward, gradient, mean = re.findall(r"\d\.\d\d to \d\.\d\d|\d\.\d\d(?= in the)", part)[:3]
        assert f"| `{kind}` | {peer} | {forward} | {gradient} | {mean} |" in page
    stored = {tuple(row["name"]): row for row in json.loads(shapes.PATH.read_text())["rows"]}
    for rule in shapes.RULES:
        assert f"| {shapes.span(stored, rule, 'seconds')} |" in page
        assert f"| {shapes.span(stored, rule, 'temporaries')} |" in page


def test_a_selection_without_a_row_is_named(capsys, monkeypatch):
    for script, *words in (
        (shapes, "--rules", "diagonal", "--shapes", "64x32x4x16"),
        (gated, "--peers", "flax", "--kinds", "MGU"),
    ):
        monkeypatch.setattr("sys.argv", [script.__name__, *words])
        with pytest.raises(SystemExit):
            script.main()
        assert words[1] in capsys.readouterr().err.rpartition("error: ")[2]


def test_what_a_prefix_scan_cannot_hold_is_left_out():
    fits = {rule: shapes.numbers(rule, shapes.sizes(own[-1])) for rule, own in shapes.RULES.items()}
    assert all(numbers <= shapes.MOST for numbers in fits.values())
    assert shapes.numbers("linear_attention", Sizes(32, 2048, heads=8, size=64)) > shapes.MOST


@pytest.mark.parametrize(
    ("script", "option", "known"),
    [
        (rmt, "--tasks", "'copy', 'reverse'"),
        (rmt, "--models", "'rmt', 'rmt, rotary'"),
        (inner, "--only", "'recall', 'outliers'"),
        (remember_first, "--models", "'gru'"),
        (gated, "--kinds", "'GRU', 'LSTM'"),
        (gated, "--shapes", "'4x128x64'"),
        (shapes, "--rules", "'diagonal'"),
        (language, "--data", "data is nonsense, where there is no file"),
        (rmt, "--steps", "invalid int value"),
        (products, "--sizes", "unrecognized arguments: --sizes nonsense"),
    ],
)
def test_an_unknown_name_lists_what_is_known(script, option, known, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", [script.__name__, option, "nonsense"])
    with pytest.raises(SystemExit):
        script.main()
    said = capsys.readouterr().err
    assert known in said.rpartition("error: ")[2] and "nonsense" in said


def test_what_is_compiled_ahead_is_not_run_before_it_is_measured():
    ran = []

    def job():
        program = harness.compiled(lambda x: x + 1, (jnp.ones(3),))
        ran.append(np.asarray(program.run()))
        return program

    programs = harness.compiled_ahead(job)
    assert len(programs) == 1 and not ran
    program = harness.with_programs(programs, job)
    assert not programs and program.compile_seconds is None and program.temporaries is not None
    np.testing.assert_array_equal(ran, [[2, 2, 2]])
    assert harness.compiled(lambda x: x + 1, (jnp.ones(3),)).compile_seconds > 0

    def broken():
        harness.compiled(lambda x: x.no_such, (jnp.ones(3),))

    with pytest.raises(AttributeError, match="no_such"):
        harness.with_programs(harness.compiled_ahead(broken), broken)


def test_groups_compiled_ahead_in_processes(tmp_path):
    arguments = [
        "--only",
        "memorax",
        "prefix_scan",
        "--rows",
        "^(diagonal|linear_attention)$",
        "--quick",
    ]
    arguments += ["--processes", "2", "--results", str(tmp_path)]
    command = [sys.executable, str(run.HERE / "ahead.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert "memorax: ModuleNotFoundError" in done.stderr
    [rows] = [
        group["rows"]
        for group in json.loads((tmp_path / "cpu.json").read_text())["groups"].values()
    ]
    assert [row["name"] for row in rows] == ["linear attention", "diagonal complex recurrence"]
    for row in rows:
        assert row["ours"]["seconds"] > 0 and row["theirs"]["compile_seconds"] is None
    assert "| linear attention | " in (tmp_path / "cpu.md").read_text()
    command[command.index("--rows") + 1] = "^diagonal$"
    late = subprocess.run([*command, "--seconds", "0"], capture_output=True, text=True, timeout=300)
    assert late.returncode == 1 and "1 rows were not measured in time" in late.stdout
    del command[command.index("--results") :], command[command.index("--quick")]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert refused.returncode == 2 and "expected --results" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "["], "'[' is no regular expression: unterminated character set"),
        (["--processes", "0"], "'0', expected a number of processes, 1 or more"),
        (
            ["--rows", "^no such row$", "--quick"],
            "have no row that could be measured, or whose name",
        ),
        (["--rows", "diagonal"], "expected --results"),
    ],
)
def test_what_cannot_be_compiled_ahead_is_said(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ahead.py", "--only", "prefix_scan", *arguments])
    with pytest.raises(SystemExit) as ended:
        ahead.main()
    assert ended.value.code == 2 and message in capsys.readouterr().err
