"""The benchmarks' own code, at tiny sizes: that they compare what they say, and keep what they measured.

No test here looks at a time.
"""

from __future__ import annotations

import json
from dataclasses import replace

import flops
import harness
import jax
import jax.numpy as jnp
import methods
import numpy as np
import pictures
import pytest
import report
import run
import streaming
from jobs import Job, NotRun
from peers import prefix_scan
from results import Results
from sizes import Sizes

from memcore import auto

TINY = Sizes(batch=1, length=5, heads=1, size=4, width=4, window=2)
DEVICE = {"platform": "cpu", "kind": "cpu", "processor": "A processor", "cores": 2}


def side(seconds: float) -> dict[str, float]:
    return {"seconds": seconds, "compile_seconds": 10 * seconds, "temporaries": 1_000_000}


def comparison(name: str, faster: float) -> dict[str, object]:
    return {"name": name, "ours": side(1), "theirs": side(faster), "same": True, "note": ""}


def rule(method: str, seconds: float, length: int = 64) -> dict[str, object]:
    sizes = {"length": length, "size": 8}
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
    with pytest.raises(NotRun, match="compiles for 60 s"):
        methods._affordable((Sizes(length=1024), harness.Side(0.1, 60.0, 10)), Sizes(length=512))


def test_a_stream_carries_its_state():
    row = streaming.stream("linear_attention", False, TINY, blocks=2, repeats=1)
    assert row["seconds_per_token"] == row["seconds"] / 10
    step, empty, args = streaming.block_program("linear_attention", False, TINY)
    once = step(empty, args)[0]
    twice = step(once, args)[0]
    assert np.allclose(np.asarray(twice[0]), 2 * np.asarray(once[0]))


def test_report(results):
    text = report.markdown(results.data)
    assert "| gated delta rule | 45x | 1,000 | 45,000 | 45x | 1 | 1 | the same |" in text
    assert "| lstm |  |  |  |  |  |  |  | memcore has no LSTM |" in text
    assert "| delta_rule | **fused** | 250 | 2.5 | 1 | 8 | 25% |" in text
    assert "| delta_rule | sequential | 1,000 | 10 | 1 | 2 | 25% |" in text
    assert "| delta_rule | fused | 250 | 2,500 |" in text
    assert "| delta_rule | fused | fused 16 |" in text
    assert "delta_rule, forward and gradient: 1.10" in text


def test_a_device_that_is_not_there_has_an_empty_column(results):
    text = report.summary([results.data])
    assert "GPU (none was at hand)" in text
    assert "| prefix scan | gated delta rule | 45x |  |" in text
    gpu = {"device": {**DEVICE, "platform": "gpu", "kind": "A card"}, "groups": {}}
    assert "none was at hand" not in report.summary([results.data, gpu])


def test_pictures(results, tmp_path):
    names = pictures.draw(results.data, tmp_path, "cpu")
    assert names == ["cpu-time_against_length.png", "cpu-ratios.png"]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in names)
    assert not list(tmp_path.glob("*.part"))


def test_a_group_measured_again_replaces_its_rows(results):
    again = Results(results.path, DEVICE)
    again.begin("flax", (), "B=1")
    again.add("flax", comparison("GRU", 1.5))
    kept = json.loads(results.path.read_text())["groups"]
    assert [row["name"] for row in kept["flax"]["rows"]] == ["GRU"]
    assert kept["rules"] == results.data["groups"]["rules"]


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
