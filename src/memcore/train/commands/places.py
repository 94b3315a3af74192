"""The options that say on which devices a run computes, `--mesh` and `--hosts`, as text: no JAX is loaded."""

import re
from dataclasses import dataclass

from memcore.types import Value

Axes = tuple[tuple[str, int], ...]

AXES = ("data", "time")
"""The axes that a mesh may have: rows of a batch over one, pieces of every sequence over the other."""
MESH = "AXIS=DEVICES, as in data=4 or data=2,time=4"
HOSTS = "auto or coordinator=HOST:PORT,count=N,index=I"
ADDRESS = re.compile(r"[^\s:]+:\d{1,5}|\[[0-9a-fA-F:.%]+\]:\d{1,5}")


@dataclass(frozen=True)
class Places:
    """Devices and hosts of a run. Without axes and hosts it is one device."""

    axes: Axes = ()
    shard_parameters: bool = False
    hosts: tuple[str, int, int] | str | None = None
    """Address of the first process, their number, and which one this is; or "auto"."""


def places(options: Value) -> Places:
    """What the options `mesh`, `shard_parameters` and `hosts` say; ValueError naming a wrong one."""
    axes = () if options.mesh is None else mesh(options.mesh)
    found = None if options.hosts is None else hosts(options.hosts)
    if options.shard_parameters and not (axes or found):
        raise ValueError(
            "--shard-parameters splits over a mesh, expected --mesh or --hosts beside it"
        )
    return Places(axes, options.shard_parameters, found)


def mesh(text: str) -> Axes:
    """The axes of a mesh from `data=4`, in their order."""
    axes = []
    for part in text.split(","):
        name, equals, size = part.partition("=")
        if not equals or not name.strip() or not size.strip().isdecimal() or not int(size):
            raise ValueError(f"mesh is {text!r}, expected {MESH}")
        axes.append((name.strip(), int(size)))
    names = [name for name, _ in axes]
    unknown = [name for name in names if name not in AXES]
    if unknown:
        raise ValueError(
            f"mesh is {text!r}, with the axis {unknown[0]!r}, expected {' or '.join(AXES)}"
        )
    if len(set(names)) < len(names):
        raise ValueError(f"mesh is {text!r}, expected each axis once")
    return tuple(axes)


def hosts(text: str) -> tuple[str, int, int] | str:
    """The processes from `coordinator=HOST:PORT,count=N,index=I`, or `auto`."""
    if text == "auto":
        return text
    said = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    if len(said) < text.count(",") + 1 or sorted(said) != ["coordinator", "count", "index"]:
        raise ValueError(f"hosts is {text!r}, expected {HOSTS}")
    address, count, index = said["coordinator"], said["count"], said["index"]
    if not ADDRESS.fullmatch(address) or not 0 < int(address.rpartition(":")[2]) < 2**16:
        raise ValueError(f"hosts has the coordinator {address!r}, expected HOST:PORT")
    if not count.isdecimal() or not int(count):
        raise ValueError(f"hosts has the count {count!r}, expected how many processes there are")
    if not index.isdecimal() or int(index) >= int(count):
        raise ValueError(f"hosts has the index {index!r}, expected 0 to {int(count) - 1}")
    return address, int(count), int(index)
