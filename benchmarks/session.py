"""Pages with commands: run them, and record what they print.

    python benchmarks/session.py docs/session.md     records the page anew, in a fresh folder

A block `python title="NAME"` is a file, another block `python` is a script, and a line that begins with $ in
a block `console` is a command, below which stands what it prints.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BLOCK = re.compile(r'^```(\w+)(?: title="([^"\n]+)")?\n(.*?)^```$', re.M | re.S)
COLUMNS = "100"


def play(page: str, folder: Path, shorter: dict[str, str] | None = None) -> str:
    """Run all blocks of a page in a folder, in their order; the page with what the commands print.

    `shorter` has options that are added to a command, by its name. Raises RuntimeError where one fails.
    """

    def block(match: re.Match[str]) -> str:
        language, title, text = match.groups()
        if title:
            (folder / title).write_text(text, encoding="utf-8")
        elif language == "python":
            _run([sys.executable, "-c", text], folder)
        elif language == "console":
            commands = re.findall(r"^\$ (.+)$", text, re.M)
            printed = [f"$ {line}\n{_command(line, folder, shorter or {})}" for line in commands]
            return "```console\n" + "\n".join(printed) + "```"
        return match[0]

    return BLOCK.sub(block, page)


def _command(line: str, folder: Path, shorter: dict[str, str]) -> str:
    name = line.split()[1] if line.startswith("memcore ") else ""
    script = f'memcore() {{ "{sys.executable}" -m memcore "$@"; }}; {line} {shorter.get(name, "")}'
    return _run(["bash", "-c", script], folder)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "COLUMNS": COLUMNS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{command[-1]}\n{done.stdout}")
    return "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())


def main() -> None:
    page = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        recorded = play(page.read_text(encoding="utf-8"), Path(folder))
    page.write_text(recorded, encoding="utf-8")


if __name__ == "__main__":
    main()
