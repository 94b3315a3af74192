"""How long `import memcore` takes beyond `import numpy`, each in fresh processes."""

import statistics
import subprocess
import sys
import time

RUNS = 11


def seconds(code: str) -> float:
    """The median over fresh processes; the first one, which reads the files, does not count."""

    def once() -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - begin

    once()
    return statistics.median(once() for _ in range(RUNS))


if __name__ == "__main__":
    numpy, memcore = seconds("import numpy"), seconds("import memcore")
    print(f"import numpy {numpy:.3f} s, import memcore {memcore:.3f} s: {memcore - numpy:+.3f} s")
