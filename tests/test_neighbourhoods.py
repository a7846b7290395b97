"""Large neighbourhoods never cost energy, and end at good labellings."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import RandomChoices, random_case
from test_auto import spins

import factorgraph as fg


@given(st.integers(0, 1 << 32))
def test_energies_never_rise(seed):
    case = random_case(RandomChoices(seed), forest=False, lattices=False)
    plan = case.graph.compile()
    start = np.random.default_rng(seed).integers(0, np.maximum(plan.states, 1)).astype(np.int32)
    named = {g.name: start[g.start : g.start + g.count].reshape(g.shape) for g in plan.groups}
    before = fg.energy(case.graph, named)
    solution = fg.solve(case.graph, method=fg.Neighbourhoods(rounds=10), initial=named)
    assert solution.energy <= before
    if solution.energy < np.inf:
        assert fg.energy(case.graph, solution) == pytest.approx(solution.energy)


def test_a_narrow_grid_is_solved_in_a_round():
    g = spins(8, 3)
    best = fg.solve(g, method="elimination").energy
    assert fg.solve(g, method=fg.Neighbourhoods(rounds=60)).energy == pytest.approx(best)


def test_a_wide_grid_gets_better_than_by_single_labels():
    g = spins(30, 4)
    start = fg.solve(g, method=fg.MinSum(sweeps=5))
    better = fg.solve(g, method=fg.Neighbourhoods(rounds=60), initial=start.labels)
    assert better.energy < start.energy - 1
    assert better.status == fg.Status.APPROXIMATE and better.bound == -np.inf
    again = fg.solve(g, method=fg.Neighbourhoods(rounds=60), initial=start.labels)
    assert (again.flat == better.flat).all()  # seeded


def test_time_is_kept():
    g = spins(60, 5)
    fg.solve(g, method=fg.Neighbourhoods(rounds=2))
    start = time.perf_counter()
    fg.solve(g, method=fg.Neighbourhoods(rounds=10**6, time_limit=0.5))
    assert time.perf_counter() - start < 1.5


def test_evidence_is_kept():
    g = spins(12, 6)
    evidence = {"x": np.where(np.random.default_rng(0).random((12, 12)) < 0.2, 1, -1)}
    start = {"x": np.ones((12, 12), int)}
    solution = fg.solve(g, evidence=evidence, method=fg.Neighbourhoods(rounds=40), initial=start)
    assert (solution.labels["x"][evidence["x"] == 1] == 1).all()
    assert solution.energy == pytest.approx(fg.solve(g, evidence=evidence).energy)
