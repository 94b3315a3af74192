"""Complex decays ``exp(-exp(nu) + i exp(theta))``, as the LRU begins them (arXiv:2303.06349)."""

from __future__ import annotations

import math

from memcore.backend import Draw, namespace
from memcore.cell import Array


def init_ring(
    draw: Draw, size: int, r_min: float = 0.0, r_max: float = 1.0, max_phase: float = 2 * math.pi
) -> tuple[Array, Array, Array]:
    """``nu_log`` and ``theta_log``, uniform over the ring's area, and ``|lambda|^2``: each ``(size,)``."""
    u = draw.uniform("nu_log", (size,))
    xp = namespace(u)
    # The logarithms want numbers that are neither 0 nor 1.
    eps = float(xp.finfo(u.dtype).eps)
    radius2 = xp.clip(u * (r_max**2 - r_min**2) + r_min**2, eps, 1.0 - eps)
    phase = xp.clip(draw.uniform("theta_log", (size,)), eps, 1.0) * max_phase
    nu_log = draw.array(xp.log(-0.5 * xp.log(radius2)), label="recurrence")
    return nu_log, draw.array(xp.log(phase), label="recurrence"), radius2
