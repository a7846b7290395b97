"""A small quadratic programme over the simplex: min ½ αᵀGα + eᵀα, α ≥ 0, Σα = 1, for G positive semidefinite.

The inner loop of Wolfe's "Finding the nearest point in a polytope" (1976): solve on the support without signs, go there
as far as α stays ≥ 0, drop what became 0, repeat.
"""

from __future__ import annotations

import numpy as np

#: Added to the diagonal of G, relative to it: where vertices depend on each other one solution is as good as another.
RIDGE = 1e-13


def minimise_on_simplex(gram: np.ndarray, linear: np.ndarray, start: np.ndarray) -> np.ndarray:
    """float64 (n,): the minimiser, from a feasible `start`, of which zeros may become positive."""
    alpha, support = start.copy(), np.ones(start.size, bool)
    for _ in range(4 * start.size):
        chosen = np.flatnonzero(support)
        target = _without_signs(gram[np.ix_(chosen, chosen)], linear[chosen])
        now = alpha[chosen]
        falling = target < 0
        if not falling.any():
            alpha[:] = 0.0
            alpha[chosen] = target
            return alpha
        ratio = np.full(chosen.size, np.inf)
        ratio[falling] = now[falling] / (now[falling] - target[falling])
        step = min(1.0, float(ratio.min()))
        moved = np.maximum(now + step * (target - now), 0.0)
        moved[ratio <= step] = 0.0
        alpha[chosen] = moved / moved.sum()
        support[chosen[moved == 0.0]] = False
    return alpha


def _without_signs(gram: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """min ½ αᵀGα + eᵀα over Σα = 1 alone, by its stationarity."""
    n = linear.size
    system = np.ones((n + 1, n + 1))
    system[:n, :n] = gram
    system[np.arange(n), np.arange(n)] += RIDGE * (1.0 + gram.diagonal())
    system[n, n] = 0.0
    return np.linalg.solve(system, np.append(-linear, 1.0))[:n]
