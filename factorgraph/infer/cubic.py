"""Factors of arity 3 in a choice between two labels, as polynomials.

A table of x ∈ {0, 1}³ is the polynomial Σ c_S Π_{i ∈ S} x_i. Its cubic term becomes quadratic by one more variable z:

    a < 0:   a x_u x_v x_w = min over z of a z (x_u + x_v + x_w − 2)
    a > 0:   a x_u x_v x_w = a − a Σ (1 − x_i) + a Σ_{i < j} (1 − x_i) (1 − x_j) − a Π (1 − x_i),

the last term as above in 1 − x and 1 − z (Freedman, Drineas, "Energy minimization via graph cuts: settling what is
possible", 2005; Kolmogorov, Zabih 2004, section 4). If the table is submodular, so are all pairs.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from ..kernels.structure import OFFSET, SCOPE
from ..plan import Asked, Plan

#: Two labels (V,) of every variable, for x = 0 and for x = 1.
Choice = tuple[np.ndarray, np.ndarray]


class Terms(NamedTuple):
    """Of T factors: linear (3, T), joint (3, T) of the pairs 01, 02, 12, and cubic (T,) coefficients, float64.

    constant is what is left when `cubic` is reduced as above; weight the sum of all entries' sizes. refused bool (T,):
    factors that forbid something, which are zero here.
    """

    linear: np.ndarray
    joint: np.ndarray
    cubic: np.ndarray
    constant: np.ndarray
    weight: np.ndarray
    refused: np.ndarray


def scopes_of(plan: Plan, triples: np.ndarray) -> np.ndarray:
    """int64 (T, 3): the variables of factors of arity 3."""
    return plan.factors.var[plan.factors.row[triples, SCOPE][:, None] + np.arange(3)].astype(np.int64)


def cubic_terms(asked: Asked, choice: Choice, triples: np.ndarray) -> Terms:
    """The coefficients of the listed factors."""
    scope = scopes_of(asked.plan, triples)
    states = asked.plan.states[scope]
    e = np.empty((2, 2, 2, triples.size))
    for x in itertools.product(range(2), repeat=3):
        i, j, k = (choice[x[m]][scope[:, m]] for m in range(3))
        entry = (i.astype(np.int64) * states[:, 1] + j) * states[:, 2] + k
        e[x] = asked.energies[asked.plan.factors.row[triples, OFFSET] + entry]
    refused = np.asarray(~np.isfinite(e).all((0, 1, 2)))
    e[:, :, :, refused] = 0
    zero, one, two, three = e[0, 0, 0], e[1, 0, 0], e[0, 1, 0], e[0, 0, 1]
    linear = np.stack([one, two, three]) - zero
    joint = np.stack([e[1, 1, 0] - one - two, e[1, 0, 1] - one - three, e[0, 1, 1] - two - three]) + zero
    cubic = e[1, 1, 1] - zero - linear.sum(0) - joint.sum(0)
    return Terms(linear, joint, cubic, zero + np.maximum(cubic, 0), abs(e).sum((0, 1, 2)), refused)
