"""A small quadratic programme over the simplex: min ½ αᵀGα + eᵀα, α ≥ 0, Σα = 1, for G positive semidefinite.

Wolfe, "Finding the nearest point in a polytope" (1976): take the coordinate that promises most into the support; solve
on the support without signs, go there as far as α stays ≥ 0, drop what became 0, until nothing does; repeat.
"""

from __future__ import annotations

import numpy as np

#: Added to the diagonal of G, relative to it: where vertices depend on each other one solution is as good as another.
RIDGE = 1e-13
#: Relative slope below which no coordinate promises anything.
SLOPE = 1e-14


def minimise_on_simplex(gram: np.ndarray, linear: np.ndarray, start: np.ndarray) -> np.ndarray:
    """float64 (n,): the minimiser, from a feasible `start`."""
    alpha = start.copy()
    for _ in range(10 * start.size):
        slope = gram @ alpha + linear
        mean, new = float(alpha @ slope), int(slope.argmin())
        if mean - slope[new] <= SLOPE * max(1.0, abs(mean)):
            break
        support = np.flatnonzero(alpha)
        alpha = _on_support(gram, linear, alpha, support if alpha[new] else np.append(support, new))
    return alpha


def _on_support(gram: np.ndarray, linear: np.ndarray, alpha: np.ndarray, support: np.ndarray) -> np.ndarray:
    """The minimiser over some of the support that is found on the way down."""
    now = alpha[support]
    while support.size > 1:
        target = _without_signs(gram[np.ix_(support, support)], linear[support])
        falling = target < 0
        if not falling.any():
            now = target
            break
        ratio = np.full(support.size, np.inf)
        ratio[falling] = now[falling] / (now[falling] - target[falling])
        now = now + ratio.min() * (target - now)
        kept = ratio > ratio.min()
        support, now = support[kept], np.maximum(now[kept], 0.0)
    out = np.zeros_like(alpha)
    out[support] = now / now.sum()
    return out


def _without_signs(gram: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """min ½ αᵀGα + eᵀα over Σα = 1 alone, by its stationarity."""
    n = linear.size
    system = np.ones((n + 1, n + 1))
    system[:n, :n] = gram
    system[np.arange(n), np.arange(n)] += RIDGE * (1.0 + gram.diagonal())
    system[n, n] = 0.0
    return np.linalg.solve(system, np.append(-linear, 1.0))[:n]
