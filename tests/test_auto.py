"""`method="auto"`: right on graphs of every kind, whoever answers; honest when the time is short."""

from __future__ import annotations

import time

import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import INF
from strategies import RandomChoices, random_case
from test_laws import check_solution

import factorgraph as fg
from factorgraph.infer import auto


@pytest.fixture()
def nothing_is_few(monkeypatch):
    """Components that would be enumerated go on to the portfolio."""
    monkeypatch.setattr(auto, "FEW", 0)


@given(st.integers(0, 1 << 32), st.sampled_from([np.float32, np.float64]))
def test_portfolio_against_enumeration(seed, dtype):
    choices = RandomChoices(seed)
    case = random_case(choices, forest=False, lattices=False, dtype=dtype)
    few, auto.FEW = auto.FEW, 0
    try:
        solution = fg.solve(case.graph)
    finally:
        auto.FEW = few
    check_solution(case, solution, oracle.minimum(case.spec))
    assert solution.status in (fg.Status.OPTIMAL, fg.Status.INFEASIBLE)


def cycle_of_alldifferent(states: int, count: int) -> fg.FactorGraph:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(count,), states=states)
    a, b = np.triu_indices(count, 1)
    g.add(fg.Table(np.where(np.eye(states) > 0, np.inf, 0.0)), x[a], x[b])
    return g


def test_infeasible_graphs_are_proven_and_named(nothing_is_few):
    g = fg.FactorGraph()
    x = g.variables("x", shape=(2, 2), states=3)
    less = fg.Table(np.where(np.arange(3)[:, None] < np.arange(3), 0.0, np.inf))
    for a, b in (((0, 0), (0, 1)), ((0, 1), (1, 0)), ((1, 0), (1, 1)), ((0, 0), (1, 1))):
        g.add(less, x[a], x[b])
    s = fg.solve(g)
    assert s.status == fg.Status.INFEASIBLE and s.energy == s.bound == INF
    assert s.conflict in {f"x[{i}, {j}]" for i in range(2) for j in range(2)}
    crowded = fg.solve(cycle_of_alldifferent(3, 4))  # pairs have supports: no propagation shows it
    assert crowded.status == fg.Status.INFEASIBLE and crowded.conflict is None


def spins(side: int, seed: int) -> fg.FactorGraph:
    rng = np.random.default_rng(seed)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(side, side), states=2)
    g.add(fg.Table(rng.normal(size=(side, side, 2))), x)
    for a, b in ((x[:-1], x[1:]), (x[:, :-1], x[:, 1:])):
        weight = 2 * rng.normal(size=(*a.shape, 1, 1))
        g.add(fg.Table(weight * np.array([[-1.0, 1.0], [1.0, -1.0]])), a, b)
    return g


def test_narrow_grids_are_eliminated_and_submodular_ones_cut():
    assert set(fg.solve(spins(8, 0)).components.method) == {"elimination"}
    rng = np.random.default_rng(0)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(50, 50), states=2)
    g.add(fg.Table(rng.normal(size=(50, 50, 2))), x)
    g.add(fg.Potts(0.7), x[:-1], x[1:])
    g.add(fg.Potts(0.7), x[:, :-1], x[:, 1:])
    s = fg.solve(g)
    assert set(s.components.method) == {"min cut"} and s.status == fg.Status.OPTIMAL
    assert fg.min_marginals(g).variables["x"][3, 4].min() == pytest.approx(s.energy)


def test_a_wide_grid_gets_a_bound_and_a_labelling():
    g = spins(40, 1)
    s = fg.solve(g, time_limit=2.0)
    assert s.status == fg.Status.BOUNDED and s.bound < s.energy < 0
    assert fg.energy(g, s) == pytest.approx(s.energy)
    better = fg.solve(g, initial=s.labels, time_limit=0.0)
    assert better.energy <= s.energy  # a labelling that was given is never lost
    with pytest.raises(fg.FactorGraphError, match="too wide to eliminate"):
        fg.marginals(g, memory_limit="1 MB")


def test_time_limit_is_obeyed():
    g = spins(60, 2)
    fg.solve(g, time_limit=0.5)  # compiled
    start = time.perf_counter()
    fg.solve(g, time_limit=1.0)
    assert time.perf_counter() - start < 3.0


def test_parts_of_one_component_are_asked_apart():
    """Once evidence fixes what joins them, two rings of many states are two problems."""
    rng = np.random.default_rng(3)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(2, 6), states=12)
    h = g.variables("h", states=2)
    for ring in x:
        g.add(fg.Table(rng.random((6, 12, 12))), ring, ring[np.r_[1:6, 0]])
        g.add(fg.Table(rng.random((2, 12))), h, ring[0])
    s = fg.solve(g, evidence={"h": 1})
    assert s.status == fg.Status.OPTIMAL and s.plan.n_components == 1
    assert s.energy == pytest.approx(fg.solve(g, evidence={"h": 1}, method="elimination").energy)
