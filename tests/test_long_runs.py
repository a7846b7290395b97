"""Long runs, which are swept in quarters, against the plain recursion in float64."""

from __future__ import annotations

import numpy as np
import pytest

import factorgraph as fg
from factorgraph.kernels.run_long import LONG

INF = np.inf


def viterbi(unary: np.ndarray, table: np.ndarray) -> float:
    """Least energy of a chain, table[i, j] between neighbours."""
    belief = unary[0].astype(np.float64)
    for row in unary[1:].astype(np.float64):
        belief = row + (belief[:, None] + table).min(0)
    return float(belief.min())


def chain(unary: np.ndarray, table: np.ndarray) -> fg.FactorGraph:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(len(unary),), states=unary.shape[1])
    g.add(fg.Table(unary), x)
    g.add(fg.Table(table), x[:-1], x[1:])
    return g


def stuck(states: int) -> np.ndarray:
    """Nothing ever changes its state: paths never meet."""
    table = np.full((states, states), INF)
    np.fill_diagonal(table, 0.0)
    return table


def banded(states: int) -> np.ndarray:
    """Stay, or go on by one: left to right."""
    table = np.full((states, states), INF)
    for i in range(states):
        table[i, i : i + 2] = 0.5
    return table


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [LONG, LONG + 1, LONG + 63, LONG + 1000])
@pytest.mark.parametrize("kind", ["integers", "reals", "stuck", "banded", "weak"])
def test_quarters_against_the_recursion(kind, count, dtype):
    rng = np.random.default_rng([count, len(kind)])
    states = int(rng.integers(2, 20))
    unary = rng.integers(-3, 4, (count, states)).astype(float)
    table = rng.integers(-2, 3, (states, states)).astype(float)
    if kind in ("reals", "weak"):
        unary, table = rng.normal(size=unary.shape), rng.normal(size=table.shape) * (0.001 if kind == "weak" else 1)
    if kind == "stuck":
        table = stuck(states)
    if kind == "banded":
        table = banded(states)
    unary, table = unary.astype(dtype), table.astype(dtype)
    s = fg.solve(chain(unary, table))
    assert s.status == fg.Status.OPTIMAL
    best = viterbi(unary, table.astype(np.float64))
    exact = kind in ("integers", "stuck", "banded")
    assert s.energy == (best if exact else pytest.approx(best, rel=1e-6 if dtype == np.float32 else 1e-12))


def test_evidence_and_infeasible_chains():
    rng = np.random.default_rng(0)
    count, states = LONG + 100, 5
    unary, table = rng.normal(size=(count, states)), banded(states)
    known = np.full(count, -1)
    known[[0, count // 2, count - 1]] = 0, 2, 4
    s = fg.solve(chain(unary, table), evidence={"x": known})
    clamped = unary.copy()
    for i in np.flatnonzero(known >= 0):
        clamped[i, np.arange(states) != known[i]] = INF
    assert s.energy == pytest.approx(viterbi(clamped, table), rel=1e-12)
    assert (np.asarray(s.labels["x"])[known >= 0] == known[known >= 0]).all()
    known[count // 2 + 1] = 0  # back, where only forwards is allowed
    assert fg.solve(chain(unary, table), evidence={"x": known}).status == fg.Status.INFEASIBLE


def test_float32_keeps_its_digits():
    """A million steps: the beliefs' sums are far beyond what float32 resolves, the labels are right all the same."""
    rng = np.random.default_rng(0)
    unary, table = rng.normal(size=(1_000_000, 3)), rng.normal(size=(3, 3))
    single = fg.solve(chain(unary.astype(np.float32), table.astype(np.float32)))
    double = fg.solve(chain(unary.astype(np.float32).astype(float), table.astype(np.float32).astype(float)))
    assert single.energy == pytest.approx(double.energy, rel=1e-9)
