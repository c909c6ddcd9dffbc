"""What the Jacobian of a numerical flux costs: the flux of Roe for a gas in one dimension.

chainrule cost examples/roe_flux.py
python examples/roe_flux.py

Source: Roe, Approximate Riemann solvers, parameter vectors, and difference schemes, Journal of Computational Physics
43(2), 1981, 357-372, DOI 10.1016/0021-9991(81)90128-5. Gas dynamics solvers need its Jacobian at every point and step.
"""

import numpy as np

import chainrule as cr

GAMMA = 1.4


def flux(state, pressure):
    """The exact flux of density, momentum and energy."""
    _, momentum, energy = state
    speed = momentum / state[0]
    return cr.stack([momentum, momentum * speed + pressure, (energy + pressure) * speed])


def roe_flux(left, right):
    """The flux between two cells.

    Args:
        left, right: density, momentum and energy, each a volume, shape (3,) or, for many points, (3, points).

    Returns:
        Flux of each through the face between the cells, in the shape of a state.
    """
    densities = left[0], right[0]
    speeds = left[1] / left[0], right[1] / right[0]
    pressures = [
        (GAMMA - 1) * (state[2] - 0.5 * state[1] * speed)
        for state, speed in zip((left, right), speeds, strict=True)
    ]
    enthalpies = [
        (state[2] + pressure) / state[0] for state, pressure in zip((left, right), pressures, strict=True)
    ]

    # Roe's averages, with the roots of the densities for weights.
    ratio = cr.sqrt(densities[1] / densities[0])
    density = ratio * densities[0]
    share = 1 / (1 + ratio)
    speed = share * (speeds[0] + ratio * speeds[1])
    enthalpy = share * (enthalpies[0] + ratio * enthalpies[1])
    square = (GAMMA - 1) * (enthalpy - 0.5 * speed * speed)
    sound = cr.sqrt(square)

    # Strengths of the three waves, each times its speed.
    rise, push = pressures[1] - pressures[0], density * sound * (speeds[1] - speeds[0])
    backward = cr.abs(speed - sound) * (rise - push) / (2 * square)
    middle = cr.abs(speed) * (densities[1] - densities[0] - rise / square)
    forward = cr.abs(speed + sound) * (rise + push) / (2 * square)

    jump = cr.stack(
        [
            backward + middle + forward,
            backward * (speed - sound) + middle * speed + forward * (speed + sound),
            backward * (enthalpy - speed * sound)
            + middle * 0.5 * speed * speed
            + forward * (enthalpy + speed * sound),
        ]
    )
    return 0.5 * (flux(left, pressures[0]) + flux(right, pressures[1]) - jump)


def state_of(density, speed, pressure):
    """Density, momentum and energy of a gas."""
    density, speed, pressure = np.broadcast_arrays(density, speed, pressure)
    return np.stack([density, density * speed, pressure / (GAMMA - 1) + 0.5 * density * speed**2])


def by_matrices(left, right):
    """The same in NumPy, from the eigenvectors of Roe's matrix: |A| = R |Λ| R⁻¹ at Roe's averages."""
    weights = np.sqrt([left[0], right[0]])
    speeds = np.array([left[1] / left[0], right[1] / right[0]])
    pressures = (GAMMA - 1) * (np.array([left[2], right[2]]) - 0.5 * np.array([left[1], right[1]]) * speeds)
    enthalpies = (np.array([left[2], right[2]]) + pressures) / np.array([left[0], right[0]])
    u, h = weights @ speeds / weights.sum(), weights @ enthalpies / weights.sum()
    c = np.sqrt((GAMMA - 1) * (h - 0.5 * u * u))
    vectors = np.array([[1, 1, 1], [u - c, u, u + c], [h - u * c, 0.5 * u * u, h + u * c]])
    jump = vectors @ (np.abs([u - c, u, u + c]) * np.linalg.solve(vectors, right - left))
    exact = [
        np.array([s[1], s[1] * v + p, (s[2] + p) * v])
        for s, v, p in zip((left, right), speeds, pressures, strict=True)
    ]
    return 0.5 * (exact[0] + exact[1] - jump)


if __name__ == "__main__":
    left = state_of(1.0, 0.75, 1.0)
    right = state_of(0.125, 0.0, 0.1)

    np.testing.assert_allclose(roe_flux(left, right).numpy(), by_matrices(left, right), rtol=1e-12)
    assert cr.check(roe_flux, left, right).ok

    ledger = cr.cost(roe_flux, left, right, argnums=(0, 1))
    print(ledger.verdict)

    # Many points at once: the same program on states of shape (3, points). Each point depends on itself alone, so the
    # three numbers of its flux are what a sweep can start from, for all points together.
    points = 1000
    rng = np.random.default_rng(0)
    several = [
        state_of(rng.uniform(0.1, 1, points), rng.normal(size=points), rng.uniform(0.1, 1, points))
        for _ in range(2)
    ]
    _, pull = cr.vjp(roe_flux, *several)
    rows = [pull(np.eye(3)[i][:, None] * np.ones(points)) for i in range(3)]
    jacobians = np.array([[side.numpy() for side in row] for row in rows])  # (flux, side, state, points)
    one = cr.jacobian(roe_flux, (0, 1))(several[0][:, 7], several[1][:, 7])
    np.testing.assert_allclose(jacobians[:, 0, :, 7], one[0].numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(jacobians[:, 1, :, 7], one[1].numpy(), rtol=1e-10, atol=1e-12)
    print(f"{points:,} Jacobians of shape {jacobians.shape[0]}×{2 * jacobians.shape[2]} in three sweeps")
