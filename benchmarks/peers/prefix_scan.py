"""memcore against `opponents`: every rule as a prefix scan over full elements, all states kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import opponents
from harness import Pair
from sizes import Sizes

import memcore
from peers import problems

PACKAGES = ()


def pairs(n: Sizes) -> dict[str, Callable[[], Pair]]:
    starts = problems.starts(n)

    def gated_delta_rule() -> Pair:
        q, k, v = problems.heads(n)
        a, b = problems.gates(n)
        return Pair(
            "gated delta rule",
            lambda *x: memcore.ops.delta_rule(*x, starts=starts)[1],
            lambda *x: opponents.gated_delta_rule(*x, starts),
            (q, k, v, jax.nn.sigmoid(a), -0.1 * jax.nn.softplus(b)),
        )

    def gated_delta_net() -> Pair:
        layer = memcore.GatedDeltaNet(n.heads * n.size, heads=n.heads)
        shape = (n.batch, n.length, n.heads * n.size)
        return Pair(
            "GatedDeltaNet layer",
            lambda params, x: layer.apply(params, x, starts=starts)[1],
            lambda params, x: opponents.gated_delta_net_layer(params, x, starts, n.heads),
            (layer.init(jax.random.key(1)), jax.random.normal(jax.random.key(0), shape)),
        )

    def linear_attention() -> Pair:
        q, k, v = problems.heads(n)
        return Pair(
            "linear attention",
            lambda *x: memcore.ops.linear_attention(*x, starts=starts, normalise=True)[1],
            lambda *x: opponents.linear_attention(*x, starts, normalise=True),
            (jax.nn.elu(q) + 1, jax.nn.elu(k) + 1, v),
        )

    def diagonal() -> Pair:
        radius, phase = jnp.linspace(0.5, 0.99, n.width), jnp.linspace(0.0, 6.0, n.width)
        b_re, b_im = problems.features(n), problems.features(n)[:, ::-1]

        def ours(a_re, a_im, b_re, b_im):
            return memcore.ops.linear_recurrence((a_re, a_im), (b_re, b_im), starts=starts)[1]

        def theirs(a_re, a_im, b_re, b_im):
            h = opponents.diagonal(a_re, a_im, jax.lax.complex(b_re, b_im), starts)
            return jnp.real(h), jnp.imag(h)

        args = (radius * jnp.cos(phase), radius * jnp.sin(phase), b_re, b_im)
        return Pair("diagonal complex recurrence", ours, theirs, args)

    def diagonal_of_every_step() -> Pair:
        a_re, a_im = (0.7 * jnp.cos(phase + problems.features(n)) for phase in (0.0, 1.0))
        b_re, b_im = problems.features(n), problems.features(n)[:, ::-1]

        def ours(a_re, a_im, b_re, b_im):
            return memcore.ops.linear_recurrence((a_re, a_im), (b_re, b_im), starts=starts)[1]

        def theirs(a_re, a_im, b_re, b_im):
            h = opponents.diagonal(a_re, a_im, jax.lax.complex(b_re, b_im), starts)
            return jnp.real(h), jnp.imag(h)

        return Pair(
            "complex recurrence, decays of every step", ours, theirs, (a_re, a_im, b_re, b_im)
        )

    def selective(name: str, theirs: Callable[..., Any]) -> Pair:
        layer = memcore.S6(n.width)
        return Pair(
            name,
            lambda params, x: layer.apply(params, x, starts=starts)[1],
            lambda params, x: theirs(params, x, starts, layer.widths[0]),
            (layer.init(jax.random.key(1)), problems.features(n)),
        )

    def selective_scan() -> Pair:
        return selective("selective scan", opponents.s6_layer)

    def selective_scan_in_a_fold() -> Pair:
        return selective("selective fold, widened in its step", opponents.s6_layer_in_a_fold)

    def window_attention() -> Pair:
        # One head of all features, as memax has it.
        x = problems.features(n)[..., None, :]
        return Pair(
            "sliding-window attention",
            lambda *x: memcore.ops.window_attention(*x, n.window, starts=starts)[1],
            lambda *x: opponents.window_attention(*x, n.window, starts),
            (x, x[:, ::-1], jnp.cos(x)),
        )

    builders = (
        gated_delta_rule,
        gated_delta_net,
        linear_attention,
        diagonal,
        diagonal_of_every_step,
        selective_scan,
        selective_scan_in_a_fold,
        window_attention,
    )
    return {build.__name__: build for build in builders}
