"""Tests, checks and documentation of memcore.

    nox                               everything, from nothing
    nox -l                            the sessions
    nox -s "tests(numpy)" -- -k lru   the developer's loop: seconds, once the environment exists

Each session installs only what it tests: NumPy's has no JAX, Equinox's no Flax, so an import that
strays across fails. Without arguments after ``--`` a session builds the wheel and tests it as
installed, with coverage; with arguments it tests the sources as they stand and installs only what
is not there yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"

PROJECT = nox.project.load_toml("pyproject.toml")
# What the sessions share: the wheel, coverage, what JAX compiled, the pages.
SHARED = Path(__file__).parent / ".nox" / "shared"

EXTRAS = {"numpy": "", "array_api_strict": "", "jax": "jax"}
GROUPS = {"numpy": ["test", "torch"], "array_api_strict": ["test", "strict"], "jax": ["test"]}
# Everything else in tests/ is the core's and runs in each of its sessions.
NOT_CORE = [
    "adapters",
    "convert/test_equinox.py",
    "convert/test_examples.py",
    "convert/test_pages.py",
    "convert/test_flax.py",
    "devices",
    "tasks",
    "train",
    "parity",
    "package/test_benchmarks.py",
    "package/test_readme.py",
]
# What the benchmarks compare with. Without their dependencies, which pin or drag in much, but for those
# that their memory cells import.
PEERS = ["memax==0.1.1", "mlstm_kernels==2.0.6", "mambapy==1.2.0"]
PEERS_IMPORT = ["beartype", "einops", "jaxtyping", "transformers==5.24.0"]

# gymnax 1.0.1 imports six and does not ask for it.
ENVIRONMENTS = ["gymnax==1.0.1", "popgym==1.0.7", "six", "xminigrid==0.9.3"]

# Packages without which tests of training are left out.
TRAIN_REQUIRES = ["grain", "matplotlib", "optax", "orbax", "scipy", "sklearn", "tokenizers", "tyro"]

ENV = {
    "JAX_PLATFORMS": "cpu",
    # What one run compiled the next one loads.
    "JAX_COMPILATION_CACHE_DIR": str(SHARED / "jax"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.05",
    "MPLBACKEND": "agg",
    # Two workers share the cores; threads inside a small matmul only get in the way.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

# Small programs, compiled by the hundred: the compiler's effort costs more than it saves (measured
# on the laws of one cell: 38 s, and 8 s with these). The README runs without.
QUICK_XLA = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)

_wheel: Path | None = None


def wheel(session: nox.Session) -> Path:
    """The wheel of this run: built once, then shared by the sessions."""
    global _wheel
    if _wheel is None:
        folder = SHARED / "wheel"
        for old in folder.glob("*.whl"):
            old.unlink()
        session.install(*PROJECT["build-system"]["requires"])
        session.run("hatchling", "build", "-t", "wheel", "-d", str(folder), silent=True)
        [_wheel] = folder.glob("*.whl")
    return _wheel


def install(session: nox.Session, extras: str, groups: Sequence[str]) -> None:
    """Install memcore with its extras and the dependency groups."""
    wanted = nox.project.dependency_groups(PROJECT, *groups)
    digest = hashlib.sha256(
        repr((PROJECT["project"], PROJECT["build-system"], extras, wanted)).encode()
    ).hexdigest()
    stamp = Path(session.virtualenv.location) / "memcore-installed"
    if session.posargs:
        session.env["PYTHONPATH"] = str(Path("src").absolute())
        if stamp.exists() and stamp.read_text() == digest:
            return
    built = wheel(session)
    torch = [requirement for requirement in wanted if requirement.startswith("torch")]
    session.install(
        "--no-compile",  # half of pip's time; Python compiles what is imported
        f"{built}[{extras}]" if extras else str(built),
        *[requirement for requirement in wanted if requirement not in torch],
    )
    # The version does not change between two builds, the contents do.
    session.install("--force-reinstall", "--no-deps", str(built))
    if torch:
        # Through pip in any case: its settings say where this platform's build comes from.
        session.install("pip")
        session.run_install("python", "-m", "pip", "install", "--quiet", "--no-compile", *torch)
    stamp.write_text(digest)


def quick_compiles(session: nox.Session, more: str = "") -> None:
    """Let XLA optimise less, if its version knows these flags: an unknown one ends the process."""
    session.env["XLA_FLAGS"] = more
    flags = {**ENV, "XLA_FLAGS": QUICK_XLA}
    probe = "import jax; jax.devices(); print('known')"
    codes = range(-64, 256)
    said = session.run(
        "python", "-c", probe, env=flags, silent=True, log=False, success_codes=codes
    )
    if str(said).strip().endswith("known"):
        session.env["XLA_FLAGS"] = f"{QUICK_XLA} {more}".strip()


def pytest(
    session: nox.Session, *arguments: str, paths: Sequence[str], covered: bool = True
) -> None:
    """Run pytest on the paths, or on those given after ``--``.

    With coverage unless not `covered`: it doubles the time of Python's own work, and is left out where
    JAX traces most or another session runs the same lines, and in those that are not run by default.
    """
    session.env.update(ENV)
    given = session.posargs
    if any(Path(argument.split("::")[0]).exists() for argument in given):
        paths = []
    if not given:
        name = "".join(c if c.isalnum() else "_" for c in session.name).strip("_")
        session.env["COVERAGE_FILE"] = str(SHARED / "coverage" / f"data.{name}")
        given = ["-n", "2", "--dist", "loadgroup", "--durations=10"]
        given += ["--cov", "--cov-report=", "--cov-fail-under=0"] if covered else []
    session.run("pytest", *paths, *arguments, *given)


@nox.session
@nox.parametrize("backend", list(EXTRAS), ids=list(EXTRAS))
def tests(session: nox.Session, backend: str) -> None:
    """The core on one array library, with no other installed."""
    install(session, EXTRAS[backend], GROUPS[backend])
    if backend == "jax":
        quick_compiles(session)
    required = ["--require", "torch"] if "torch" in GROUPS[backend] else []
    ignored = [f"--ignore=tests/{name}" for name in NOT_CORE]
    # NumPy's session runs the lines of every backend, adapters and training those of JAX alone.
    covered = backend == "numpy"
    pytest(session, "--backend", backend, *required, *ignored, paths=["tests"], covered=covered)


@nox.session(default=False)
def kernels(session: nox.Session) -> None:
    """The core on NumPy with the matmuls of other processors (x86-64, OpenBLAS), on one thread and two."""
    install(session, "", ["test"])
    ignored = [f"--ignore=tests/{name}" for name in NOT_CORE]
    for core in ("Haswell", "SkylakeX", "Zen", "Sandybridge", "Nehalem"):
        for threads in ("1", "2"):
            how = {"OPENBLAS_CORETYPE": core, "OPENBLAS_NUM_THREADS": threads}
            session.log(f"{core}, {threads} threads")
            session.run(
                "pytest", "tests", "--backend", "numpy", *ignored, "-q", "-n", "2",
                *session.posargs, env={**ENV, **how},
            )  # fmt: skip


@nox.session(default=False)
def environments(session: nox.Session) -> None:
    """Environments of gymnax, POPGym and XLand-MiniGrid under the interface of ours."""
    install(session, "jax", ["test"])
    session.install(*ENVIRONMENTS)
    required = [f"--require={name}" for name in ("gymnax", "popgym", "xminigrid")]
    pytest(session, *required, paths=["tests/rl/test_adapters.py"])


@nox.session
@nox.parametrize("framework", ["equinox", "flax"], ids=["equinox", "flax"])
def adapters(session: nox.Session, framework: str) -> None:
    """One framework's adapter, and its weights, with the other framework absent."""
    install(session, framework, ["test"])
    quick_compiles(session)
    folders = ("adapters", "convert")
    paths = [f"tests/{folder}/test_{framework}.py" for folder in folders]
    pytest(session, "--backend", "jax", paths=paths)


@nox.session
def devices(session: nox.Session) -> None:
    """Models and rules on simulated devices: shard_map, explicit and automatic meshes."""
    install(session, "jax", ["test"])
    quick_compiles(session, "--xla_force_host_platform_device_count=8")
    pytest(session, "--backend", "jax", paths=["tests/devices"], covered=False)


@nox.session(default=False)
def devices_whole(session: nox.Session) -> None:
    """Every method of every model and rule on four simulated devices, and lowered for others."""
    install(session, "jax", ["test"])
    quick_compiles(session, "--xla_force_host_platform_device_count=8")
    paths = ["tests/devices", "tests/core/test_export.py"]
    pytest(session, "--backend", "jax", "--whole", paths=paths, covered=False)


@nox.session(default=False)
def laws_whole(session: nox.Session) -> None:
    """The laws by every method of every model on JAX, and elements of pieces of every length."""
    install(session, "jax", ["test"])
    quick_compiles(session)
    paths = [f"tests/laws/{name}" for name in ("test_laws.py", "test_rule_totals.py")]
    pytest(session, "--backend", "jax", "--whole", paths=paths, covered=False)


@nox.session
def train(session: nox.Session) -> None:
    """Tasks, training, the command line, and the benchmarks' own code."""
    install(session, "all", ["test"])
    quick_compiles(session)
    files = ["package/test_package.py", "package/test_benchmarks.py"]
    pytest(
        session,
        *["--backend", "jax"],
        *[f"--require={name}" for name in TRAIN_REQUIRES],
        paths=["tests/tasks", "tests/train", *(f"tests/{name}" for name in files)],
    )


@nox.session
def parity(session: nox.Session) -> None:
    """The same training in every framework and on NumPy, on data of every kind."""
    install(session, "all", ["test"])
    quick_compiles(session)
    pytest(session, "--backend", "jax", paths=["tests/parity"], covered=False)


@nox.session
def readme(session: nox.Session) -> None:
    """Every code block of the README, the examples with weights of other packages, and their pages."""
    install(session, "all", ["test"])
    files = ["package/test_readme.py", "convert/test_examples.py", "convert/test_pages.py"]
    paths = [f"tests/{name}" for name in files]
    pytest(session, "--backend", "jax", paths=paths, covered=False)


@nox.session
def coverage(session: nox.Session) -> None:
    """What the sessions before have covered together; fails below the bound in pyproject.toml."""
    session.install("coverage")
    session.env["COVERAGE_FILE"] = str(SHARED / "coverage" / "all")
    session.run(
        "coverage", "combine", "--quiet", "--keep", *map(str, SHARED.glob("coverage/data.*"))
    )
    session.run("coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: errors and layout."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def typecheck(session: nox.Session) -> None:
    """mypy, with the base dependencies only: the optional ones are Any to it."""
    groups = nox.project.dependency_groups(PROJECT, "typecheck")
    session.install(*PROJECT["project"]["dependencies"], *groups)
    session.run("mypy", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation; a warning is an error."""
    session.install(*nox.project.dependency_groups(PROJECT, "docs"))
    session.env["NO_MKDOCS_2_WARNING"] = "1"
    session.run("mkdocs", "build", "--strict", "--site-dir", str(SHARED / "site"), *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Speed and memory, beside the peers': `nox -s bench -- --only rules`."""
    install(session, "all", ["test", "torch"])
    session.install(*PEERS_IMPORT)
    session.install("--no-deps", *PEERS)
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session(default=False)
def bench_memorax(session: nox.Session) -> None:
    """Speed and memory beside memorax, whose imports need dozens of packages."""
    install(session, "flax", [])
    session.install("memorax==1.0.1", "matplotlib")
    session.run("python", "benchmarks/run.py", "--only", "memorax", *session.posargs)


@nox.session(default=False, venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """All tests on the oldest dependencies that pyproject.toml allows; needs uv."""
    session.install(
        *["--resolution", "lowest-direct", "-r", "pyproject.toml", "--all-extras"],
        *nox.project.dependency_groups(PROJECT, "test"),
    )
    session.install("--force-reinstall", "--no-deps", str(wheel(session)))
    session.env.update(ENV)
    session.run("pytest", "-n", "2", "--dist", "loadgroup", *session.posargs)
