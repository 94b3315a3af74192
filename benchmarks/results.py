"""What was measured, kept in one JSON file per device and written anew after every row."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Results:
    """Rows by group, with the date, the device and the versions of each group.

    A group that is measured again replaces its old rows; other groups stay.
    """

    def __init__(self, path: Path, device: dict[str, Any]) -> None:
        self.path = path
        self.data: dict[str, Any] = {"device": device, "groups": {}}
        if path.exists():
            before = json.loads(path.read_text())
            for group in before["groups"].values():
                group.setdefault("device", before["device"])
            self.data["groups"] = before["groups"]

    def begin(self, group: str, packages: tuple[str, ...], sizes: str) -> None:
        """The next rows of ``group`` replace those of an earlier run."""
        self.data["groups"][group] = {
            "date": datetime.date.today().isoformat(),
            "device": self.data["device"],
            "commit": commit(),
            "versions": versions(("memcore", "jax", "numpy", *packages)),
            "sizes": sizes,
            "rows": [],
        }

    def rows(self, group: str) -> list[dict[str, Any]]:
        """What is kept of ``group``."""
        return self.data["groups"].get(group, {"rows": []})["rows"]

    def add(self, group: str, row: dict[str, Any]) -> None:
        """Keep a row; an interrupted run loses none that is finished."""
        self.data["groups"][group]["rows"].append(row)
        write(self.path, json.dumps(self.data, indent=1) + "\n")


def put(
    path: Path, packages: tuple[str, ...], row: dict[str, Any], markdown: Callable[[Any], str]
) -> None:
    """Keep a row in a JSON file in place of the one of its name, and the whole as a table beside it."""
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    rows = [*(old for old in before if old["name"] != row["name"]), row]
    found = {
        "rows": rows,
        "device": this_device(),
        "commit": commit(),
        "versions": versions(packages),
    }
    write(path, json.dumps(found, indent=1) + "\n")
    write(path.with_suffix(".md"), markdown(found))


def origin(found: dict[str, Any]) -> str:
    """On what, and of what, the rows that `put` keeps were measured last."""
    device = found["device"]
    of = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"{device['processor']}, {device['cores']} cores; commit {found['commit']}; {of}."


def write(path: Path, text: str) -> None:
    """Written beside and renamed: nobody reads half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(text)
    os.replace(beside, path)


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Of the installed ones among ``packages``, beside Python's."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Git's commit of these files, with a "+" where the library differs from it; None without one."""

    def git(*arguments: str) -> Any:
        folder = str(Path(__file__).parent.parent)
        return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True)

    try:
        found = git("rev-parse", "--short=12", "HEAD")
        changed = git("diff", "--quiet", "HEAD", "--", "src").returncode
    except FileNotFoundError:
        return None
    return None if found.returncode else found.stdout.strip() + "+" * bool(changed)


def this_device() -> dict[str, Any]:
    """JAX's default device, and the processor beside it."""
    import jax

    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "kind": device.device_kind,
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
    }


def processor() -> str:
    """The processor's name, where the system tells."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def slug(kind: str) -> str:
    """A device's kind as the name of its files: ``cpu``, ``nvidia-h100-80gb-hbm3``."""
    return re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")
