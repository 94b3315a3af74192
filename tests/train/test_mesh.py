"""`memcore train --mesh`: on four simulated devices as on one, in every framework, and what is refused."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memcore.cli import main
from memcore.train.commands.places import Places, mesh
from memcore.train.devices.placement import LARGE

pytestmark = [
    pytest.mark.backend("jax"),
    pytest.mark.requires("tyro", "optax", "grain", "orbax"),
    pytest.mark.xdist_group("mesh"),
]

KINDS = ("core", "equinox", "linen", "nnx", "segments", "averaged")
EQUAL = 1e-6
"""Of losses, on one device and on four: sums of rows are rounded in another order."""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `train.mesh_runs` found, in a process that has four devices."""
    folder = tmp_path_factory.mktemp("mesh")
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    command = [sys.executable, "-m", "train.mesh_runs", str(folder)]
    subprocess.run(
        command,
        env={**os.environ, "XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": "cpu"},
        cwd=Path(__file__).parents[1],
        check=True,
        capture_output=True,
        timeout=400,
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


def test_a_run_goes_on_with_another_number_of_devices(found):
    one = found["resumed"]["1"]
    assert len(one) == 16 + 4
    for losses in found["resumed"].values():
        assert losses == pytest.approx(one, abs=EQUAL)


def test_a_step_compiles_once(found):
    assert found["compiled"] == 1


def test_a_mesh_as_text():
    assert mesh("data=4") == (("data", 4),)
    assert Places() == Places((), False, None)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--mesh", "four"], "mesh is 'four', expected AXIS=DEVICES, as in data=4"),
        (["--mesh", "data=0"], "mesh is 'data=0', expected AXIS=DEVICES"),
        (["--mesh", "data=4,"], "mesh is 'data=4,', expected AXIS=DEVICES"),
        (["--mesh", "model=2"], "mesh is 'model=2', with the axis 'model', expected data"),
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
