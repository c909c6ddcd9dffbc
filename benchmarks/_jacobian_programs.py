"""Programs whose Jacobians have many outputs and inputs, of single numbers: written from their published equations."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import chainrule as cr
from chainrule.autodiff.elimination import EliminationGraph


def human_heart_dipole(a: Any, b: Any, c: Any, d: Any, t: Any, u: Any, v: Any, w: Any) -> tuple[Any, ...]:
    """Averick, Carter, More and Xue, The MINPACK-2 test problem collection, 1992, section 2.6; all sums are 1."""
    tt, uu, vv, ww = t * t, u * u, v * v, w * w
    tv, uw = tt - vv, uu - ww
    t3, u3 = t * (tt - 3 * vv), u * (uu - 3 * ww)
    v3, w3 = v * (vv - 3 * tt), w * (ww - 3 * uu)
    return (
        a + b - 1,
        c + d - 1,
        t * a + u * b - v * c - w * d - 1,
        v * a + w * b + t * c + u * d - 1,
        a * tv - 2 * c * t * v + b * uw - 2 * d * u * w - 1,
        c * tv + 2 * a * t * v + d * uw + 2 * b * u * w - 1,
        a * t3 + c * v3 + b * u3 + d * w3 - 1,
        c * t3 - a * v3 + d * u3 - b * w3 - 1,
    )


def propane_combustion(*x: Any) -> tuple[Any, ...]:
    """The same collection, section 2.7, the full formulation: 11 unknowns; the constants of equilibrium are all 2."""
    x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11 = x
    k, p, ratio = 2.0, 40.0, 10.0
    total = x1
    for y in x[1:10]:
        total = total + y
    share = p / x11
    root = cr.sqrt(share)
    return (
        x1 + x4 - 3,
        2 * x1 + x2 + x4 + x7 + x8 + x9 + 2 * x10 - ratio,
        2 * x2 + 2 * x5 + x6 + x7 - 8,
        2 * x3 + x9 - 4 * ratio,
        k * x2 * x4 - x1 * x5,
        k * cr.sqrt(x2 * x4) - cr.sqrt(x1) * x6 * root,
        k * cr.sqrt(x1 * x2) - cr.sqrt(x4) * x7 * root,
        k * x1 - x4 * x8 * share,
        k * x1 * cr.sqrt(x3) - x4 * x9 * root,
        k * x1 * x1 - x4 * x4 * x10 * share,
        x11 - total,
    )


def black_scholes(s: Any, strike: Any, r: Any, sigma: Any, t: Any) -> tuple[Any, ...]:
    """Price, delta, vega, theta and rho of a European call (Black and Scholes, J. Polit. Econ. 81, 1973, 637-654)."""
    root = sigma * cr.sqrt(t)
    d1 = (cr.log(s / strike) + (r + sigma * sigma / 2) * t) / root
    d2 = d1 - root
    n1, n2 = (0.5 * (1 + cr.erf(d * 0.5**0.5)) for d in (d1, d2))
    density = cr.exp(-0.5 * d1 * d1) * 0.3989422804014327
    paid = strike * cr.exp(-r * t)
    return (
        s * n1 - paid * n2,
        n1,
        s * density * cr.sqrt(t),
        -(s * density * sigma) / (2 * cr.sqrt(t)) - r * paid * n2,
        t * paid * n2,
    )


def roe_flux_3d(*q: Any) -> tuple[Any, ...]:
    """Density, three momenta and energy on both sides of a face across x give the flux through it.

    Source: Roe, Approximate Riemann solvers, J. Comput. Phys. 43, 1981, 357-372; its waves as in Toro, Riemann Solvers
    and Numerical Methods for Fluid Dynamics, 3rd ed., section 11.2.
    """
    gamma = 1.4
    sides: list[tuple[Any, ...]] = []
    for rho, mx, my, mz, energy in (q[:5], q[5:]):
        u, v, w = mx / rho, my / rho, mz / rho
        p = (gamma - 1) * (energy - 0.5 * (mx * u + my * v + mz * w))
        sides.append((rho, u, v, w, p, (energy + p) / rho, energy, mx, my, mz))
    left, right = sides
    root_l, root_r = cr.sqrt(left[0]), cr.sqrt(right[0])
    both = root_l + root_r
    u, v, w, h = ((root_l * left[i] + root_r * right[i]) / both for i in (1, 2, 3, 5))
    speed2 = u * u + v * v + w * w
    a2 = (gamma - 1) * (h - 0.5 * speed2)
    a = cr.sqrt(a2)
    d_rho, d_mx, d_my, d_mz = (right[i] - left[i] for i in (0, 7, 8, 9))
    d_energy = right[6] - left[6]
    s3, s4 = d_my - v * d_rho, d_mz - w * d_rho
    rest = d_energy - s3 * v - s4 * w
    s2 = (gamma - 1) * (d_rho * (h - u * u) + u * d_mx - rest) / a2
    s1 = (d_rho * (u + a) - d_mx - a * s2) / (2 * a)
    s5 = d_rho - (s1 + s2)
    l1, l2, l5 = cr.abs(u - a), cr.abs(u), cr.abs(u + a)
    w1, w2, w3, w4, w5 = s1 * l1, s2 * l2, s3 * l2, s4 * l2, s5 * l5
    waves = (
        w1 + w2 + w5,
        w1 * (u - a) + w2 * u + w5 * (u + a),
        (w1 + w2 + w5) * v + w3,
        (w1 + w2 + w5) * w + w4,
        w1 * (h - u * a) + w2 * 0.5 * speed2 + w3 * v + w4 * w + w5 * (h + u * a),
    )
    flux = [(s[7], s[7] * s[1] + s[4], s[7] * s[2], s[7] * s[3], s[1] * (s[6] + s[4])) for s in (left, right)]
    return tuple(0.5 * (fl + fr - d) for fl, fr, d in zip(*flux, waves, strict=True))


def random_function(*x: Any, steps: int = 100, outputs: int = 4, seed: int = 0) -> tuple[Any, ...]:
    """Sines, products, quotients and sums of what came not long before."""
    rng, known = random.Random(seed), list(x)
    for _ in range(steps):
        a, b = (known[-1 - min(int(rng.expovariate(0.15)), len(known) - 1)] for _ in range(2))
        known.append(rng.choice((a + b, a * b, cr.sin(a), cr.exp(-a), a / (1.5 + b * b))))
    return tuple(known[-outputs:])


PROGRAMS: dict[str, tuple[Callable[..., tuple[Any, ...]], int]] = {
    "human heart dipole": (human_heart_dipole, 8),
    "propane combustion": (propane_combustion, 11),
    "Black-Scholes": (black_scholes, 5),
    "random function": (random_function, 4),
    "Roe flux, 3 dimensions": (roe_flux_3d, 10),
}


def graphs() -> dict[str, EliminationGraph]:
    """The graph of each program, by its name."""
    return {
        name: EliminationGraph.from_graph(cr.trace(f, *(1.0 + 0.1 * k for k in range(arity))))
        for name, (f, arity) in PROGRAMS.items()
    }
