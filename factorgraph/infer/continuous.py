"""Answers that are numbers: minima, and draws from exp(−E / T), of an energy with a gradient.

    leapfrog   p ← p − ½ε ∇E/T,  y ← y + ε p,  p ← p − ½ε ∇E/T,   L times from p ~ N(0, 1)
    accept     with probability min(1, exp(H − H′)),   H = E(y)/T + ½ ‖p‖²

Hamiltonian Monte Carlo (Duane, Kennedy, Pendleton, Roweth 1987; Neal 2011); with one leap a draw it is the Langevin
algorithm, corrected by acceptance. Minima are those of scipy's L-BFGS: local ones, where the energy is not convex.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np
from scipy.optimize import minimize

from ..errors import FactorGraphError

#: An array to its energy and the gradient of that, an array of the same shape.
Energy = Callable[[np.ndarray], tuple[float, np.ndarray]]


@dataclass(frozen=True)
class Descent:
    """answer: float64, of the start's shape. energy: its. slope: the largest entry of the gradient there.
    converged: whether that is within the tolerance."""

    answer: np.ndarray
    energy: float
    slope: float
    converged: bool


@dataclass(frozen=True)
class Walk:
    """draws: float64 (count, *shape). energies: float64 (count,). accepted: share of the proposals."""

    draws: np.ndarray
    energies: np.ndarray
    accepted: float


def descend(energy: Energy, start: np.ndarray, tolerance: float = 1e-8, iterations: int = 10_000) -> Descent:
    """An answer from which no small change leads to less energy, on the way down from `start`.

    tolerance: on every entry of the gradient.
    Errors: FactorGraphError for energies and gradients that are NaN or of the wrong shape, and for a start of +inf.
    """
    first = np.array(start, np.float64)
    value, _ = _ask(energy, first)
    if value == np.inf:
        raise FactorGraphError("descend: the start is forbidden (+inf); expected one of finite energy")

    def flat(y: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _ask(energy, y.reshape(first.shape))
        return value, slope.ravel()

    options = {"maxiter": iterations, "maxfun": 20 * iterations, "gtol": tolerance, "ftol": 0.0, "maxcor": 20}
    found = minimize(flat, first.ravel(), jac=True, method="L-BFGS-B", options=options)
    value, slope = flat(found.x)
    largest = float(np.abs(slope).max(initial=0.0))
    return Descent(found.x.reshape(first.shape), value, largest, largest <= tolerance)


def hamiltonian(
    energy: Energy,
    start: np.ndarray,
    count: int,
    step: float,
    leaps: int = 20,
    burn: int = 0,
    temperature: float = 1.0,
    seed: int = 0,
) -> Walk:
    """`count` draws, one after the other: neighbours are not independent, and the first depend on `start`.

    step: ε, as a length of y; halve it where less than two thirds of the proposals are accepted. leaps: gradients per
    draw. burn: draws that are left out before the first. Steps vary by a fifth, so that no motion is periodic.
    Errors: as of `descend`, and for settings out of range.
    """
    if not (count >= 1 and leaps >= 1 and burn >= 0 and step > 0 and isfinite(step) and temperature > 0):
        raise FactorGraphError(
            f"hamiltonian: expected count ≥ 1, leaps ≥ 1, burn ≥ 0, step > 0 and temperature > 0; got {count}, "
            f"{leaps}, {burn}, {step}, {temperature}"
        )
    random = np.random.default_rng(seed)
    y = np.array(start, np.float64)
    value, slope = _ask(energy, y)
    if value == np.inf:
        raise FactorGraphError("hamiltonian: the start is forbidden (+inf); expected one of finite energy")
    draws, energies, accepted = np.empty((count, *y.shape)), np.empty(count), 0
    for number in range(-burn, count):
        p = random.standard_normal(y.shape)
        pace = step * random.uniform(0.8, 1.2)
        before = value / temperature + 0.5 * float(np.sum(p * p))
        there, new, push = y, value, slope
        for _ in range(leaps):
            p = p - 0.5 * pace * push / temperature
            there = there + pace * p
            new, push = _ask(energy, there)
            if new == np.inf:
                break
            p = p - 0.5 * pace * push / temperature
        after = new / temperature + 0.5 * float(np.sum(p * p))
        if np.log(random.random()) < before - after:
            y, value, slope = there, new, push
            accepted += number >= 0
        if number >= 0:
            draws[number], energies[number] = y, value
    return Walk(draws, energies, accepted / count)


def _ask(energy: Energy, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy and gradient, checked."""
    answer = energy(y)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise FactorGraphError(f"energy: expected a pair, the energy and its gradient; got {type(answer).__name__}")
    value, slope = answer
    value, slope = float(value), np.asarray(slope, np.float64)
    if slope.shape != y.shape:
        raise FactorGraphError(f"energy: expected a gradient of shape {y.shape}; got {slope.shape}")
    if value == -np.inf or np.isnan(value) or (value < np.inf and not np.isfinite(slope).all()):
        raise FactorGraphError(
            f"energy: expected a finite energy and gradient, or +inf; got {value} with a gradient that is "
            f"{'finite' if np.isfinite(slope).all() else 'not finite'}"
        )
    return value, slope
