"""`memcore train --mesh`: on several simulated devices as on one, in every framework, and what is refused."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memcore.cli import main
from memcore.train.commands.places import Places, mesh
from memcore.train.devices.placement import LARGE, place

pytestmark = [
    pytest.mark.backend("jax"),
    pytest.mark.requires("tyro", "optax", "grain", "orbax"),
    pytest.mark.xdist_group("mesh"),
]

KINDS = ("core", "equinox", "linen", "nnx", "segments", "averaged")
EQUAL = 5e-6
"""Of losses of about 2, on one device and on four: sums of rows are rounded in another order."""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `train.mesh_runs` found, in a process that has eight devices."""
    folder = tmp_path_factory.mktemp("mesh")
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    command = [sys.executable, "-m", "train.mesh_runs", str(folder)]
    subprocess.run(
        command,
        env={**os.environ, "XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": "cpu"},
        cwd=Path(__file__).parents[1],
        check=True,
        capture_output=True,
        timeout=1800,  # a bound for what hangs, on a machine that is busy
    )
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("placement", ["data", "sharded"])
@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_those_of_one_device(found, kind, placement):
    runs = found["trained"]
    one, four = runs.get(kind, {}).get("one", runs["core"]["one"]), runs[kind][placement]
    assert len(one["losses"]) == 20 and max(one["losses"]) > min(one["losses"])
    assert four["losses"] == pytest.approx(one["losses"], abs=EQUAL)
    assert four["test"] == pytest.approx(one["test"], abs=EQUAL)


@pytest.mark.parametrize("kind", KINDS)
def test_large_parameters_and_their_moments_are_split(found, kind):
    """Of a large array each of four devices has a quarter, of any other all."""
    for name in ("params", "memory", "state"):
        assert all(shape == piece for shape, piece in found["trained"][kind]["data"][name])
        arrays = found["trained"][kind]["sharded"][name]
        split = [shape for shape, piece in arrays if piece != shape]
        assert split and split == [shape for shape, _ in arrays if math.prod(shape) >= LARGE]
        for shape, piece in arrays:
            assert math.prod(piece) == math.prod(shape) / (4 if shape in split else 1)


IN_TIME = [
    ("core", "time"),
    *((f, "both") for f in KINDS[:4]),
    ("segments", "time"),
    ("last", "both"),
]


@pytest.mark.parametrize(("kind", "placement"), IN_TIME)
def test_losses_in_pieces_are_those_of_one_device(found, kind, placement):
    """Over four pieces of every sequence, `both` with half of the rows on each four devices."""
    runs = found["in_time"]
    one, pieces = runs.get(kind, {}).get("one", runs["core"]["one"]), runs[kind][placement]
    assert len(one["losses"]) == 20 and max(one["losses"]) > min(one["losses"])
    assert pieces["losses"] == pytest.approx(one["losses"], abs=EQUAL)
    assert pieces["test"] == pytest.approx(one["test"], abs=EQUAL)


def test_large_parameters_are_split_over_both_axes(found):
    for name in ("params", "memory", "state"):
        for shape, piece in found["in_time"]["core"]["both"][name]:
            ways = 8 if math.prod(shape) >= LARGE else 1
            assert math.prod(piece) == math.prod(shape) / ways
    shapes = [shape for shape, _ in found["in_time"]["core"]["both"]["params"]]
    assert any(math.prod(shape) >= LARGE for shape in shapes)


def test_a_run_goes_on_with_time_over_devices(found):
    whole, pieces = (found["resumed_in_time"][name] for name in ("whole", "pieces"))
    assert len(whole) == 8 + 2
    assert pieces == pytest.approx(whole, abs=EQUAL)


@pytest.mark.parametrize(
    "name, said",
    {
        "steps": "mesh has 4 devices on its axis time, expected a number that divides the 18 steps",
        "segment": "mesh has 4 devices on its axis time, expected a number that divides the 6 steps",
        "rows": "batch_size is 32, expected a multiple of the 3 devices of the mesh's axis data",
        "devices": "mesh is time=4,data=4, which is 16 devices, expected at most the 8 there are",
        "gru": "model has the recurrence 'layer_0/gated_cell', whose pieces do not run side by side",
    }.items(),
)
def test_what_cannot_be_in_pieces_is_refused_before_training(found, name, said):
    code, words, made = found["refused"][name]
    assert code == 2 and not made
    assert words.startswith(f"memcore train: {said}")


def test_the_block_of_the_page_on_eight_devices(found):
    one, eight = found["page"]
    assert eight == pytest.approx(one, abs=EQUAL)


def test_what_hosts_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr("memcore.train.devices.placement.part", lambda: (0, 2))
    monkeypatch.setattr("jax.device_count", lambda: 6)
    for axes, text in {
        (("time", 1),): "time=1",
        (("data", 3), ("time", 2)): "data=3,time=2",
    }.items():
        with pytest.raises(
            ValueError, match=f"mesh is {text}, expected as many devices of each of the 2 hosts"
        ):
            place(axes)
    monkeypatch.setattr("jax.local_devices", lambda host: [None] * (4 if host else 2))
    with pytest.raises(ValueError, match="data=6, which is 3 devices of each of the 2 hosts, exp"):
        place([])


def test_a_run_goes_on_with_another_number_of_devices(found):
    one = found["resumed"]["1"]
    assert len(one) == 16 + 4
    for losses in found["resumed"].values():
        assert losses == pytest.approx(one, abs=EQUAL)


def test_a_step_compiles_once(found):
    assert found["compiled"] == {"sharded": 1, "both": 1}


def test_a_mesh_as_text():
    assert mesh("data=4") == (("data", 4),)
    assert mesh("time=2, data=3") == (("time", 2), ("data", 3))
    assert Places() == Places((), False, None)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--mesh", "four"], "mesh is 'four', expected AXIS=DEVICES, as in data=4 or data=2,"),
        (["--mesh", "data=0"], "mesh is 'data=0', expected AXIS=DEVICES"),
        (["--mesh", "data=4,"], "mesh is 'data=4,', expected AXIS=DEVICES"),
        (["--mesh", "model=2"], "mesh is 'model=2', with the axis 'model', expected data or time"),
        (["--mesh", "data=1,data=1"], "mesh is 'data=1,data=1', expected each axis once"),
        (["--mesh", "data=512"], "mesh is data=512, which is 512 devices, expected at most the "),
        (["--shard-parameters"], "--shard-parameters splits over a mesh, expected --mesh"),
        (["--mesh", "data=1", "--sweep", "seed=1,2"], "--sweep trains on one device, expected no"),
    ],
)
def test_what_is_no_mesh_is_refused(tmp_path, capsys, options, said):
    assert main(["train", "--out", str(tmp_path / "run"), *options]) == 2
    assert capsys.readouterr().err.startswith(f"memcore train: {said}")
    assert not (tmp_path / "run").exists()
