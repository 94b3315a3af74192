"""Environments of other packages under the interface of ours; a package is imported when it is asked for."""

from memcore.rl.environments.adapters.popgym import Popgym as Popgym
from memcore.rl.environments.adapters.vectors import Simulator as Simulator

ADAPTERS = ("gymnax", "popgym", "xminigrid")


def adapted(package: str, name: str) -> Simulator:
    """The environment of a package, by its name there.

    Raises:
        ImportError: the package is not installed.
        ValueError: it has no environment of that name.
    """
    if package == "popgym":
        return Popgym(name)
    from memcore.rl.environments.adapters import _jax

    return _jax.Gymnax(name) if package == "gymnax" else _jax.XMiniGrid(name)
