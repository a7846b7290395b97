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
from factorgraph.infer.fold import fold
from factorgraph.plan import Question


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


def quickest(g: fg.FactorGraph, limit: float) -> float:
    """Seconds of the quickest of some answers: each may compile what the ones before it had no time for."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        fg.solve(g, time_limit=limit)
        times.append(time.perf_counter() - start)
        if times[-1] < 2 * limit:
            break
    return min(times)


def test_time_limit_is_obeyed():
    g = spins(60, 2)
    assert quickest(g, 0.5) < 1.5


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


def ring(g: fg.FactorGraph, name: str, count: int) -> None:
    """Neighbours must differ."""
    x = g.variables(name, shape=(count,), states=2)
    g.add(fg.Table([[np.inf, 0.0], [0.0, np.inf]]), x, x[np.r_[1:count, 0]])


def test_what_folding_proves_infeasible_is(nothing_is_few):
    g = fg.FactorGraph()
    ring(g, "odd", 5)
    ring(g, "even", 6)
    s = fg.solve(g, method=fg.Auto(cells=1))
    assert s.components.status.tolist() == [fg.Status.INFEASIBLE, fg.Status.OPTIMAL]


def test_folding_keeps_to_its_memory():
    rng = np.random.default_rng(0)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=300)
    g.add(fg.Table(rng.random((3, 300, 300))), x, x[[1, 2, 0]])
    assert fold(Question().of(g.compile(), g.energies()))[1].size == 3  # 27,000,000 entries for one variable
    assert fg.solve(g).status == fg.Status.OPTIMAL


@pytest.mark.parametrize("seed", [1, 2, 2531, 3052, 5859])
def test_a_component_is_judged_alone_as_in_company(seed):
    """Forbidden labels go from pair to pair until nothing changes, whatever the order of pairs."""
    rng = np.random.default_rng(seed)
    g = fg.FactorGraph()
    a, b = g.variables("a", shape=(16,), states=2), g.variables("b", shape=(16,), states=2)
    g.add(fg.Potts(1.0), a[:15], a[1:])
    g.add(fg.Table(rng.normal(size=(2, 2, 2))), a[0], a[1], a[2])
    g.add(fg.Table([[0.0, -3.0], [-3.0, 0.0]]), a[0], a[15])
    for first, last in ((b[3:15], b[4:]), (b[3], b[15]), (b[2], b[3])):
        g.add(fg.Potts(1.0), first, last)
    for _ in range(6):
        i, j = (int(k) for k in rng.permutation(4)[:2])
        table = rng.normal(size=(2, 2))
        table[rng.random((2, 2)) < 0.3] = INF
        g.add(fg.Table(table), b[i], b[j])
    asked = Question().of(g.compile(), g.energies())
    cut = fg.MinCut()
    alone = [bool(cut.submodular(asked.part(np.array([i])))[0]) for i in range(2)]
    assert cut.submodular(asked).tolist() == alone
    fg.solve(g)


def test_a_start_beside_a_lattice_that_spells_a_string():
    g = spins(20, 7)
    line = g.lattice("line", arcs=([0, 1, 0], [1, 2, 2]), states=2)
    g.add(fg.Table(np.arange(6.0).reshape(3, 2)), line)
    evidence = {"line": [1]}
    first = fg.solve(g, evidence=evidence, method="trw-s")
    for method in ("auto", "trw-s", "expansion", "min-sum"):
        again = fg.solve(g, evidence=evidence, initial=first.labels, time_limit=0.0, method=method)
        assert again.energy <= first.energy + 1e-9, method


def test_a_hub_of_many_leaves_is_no_burden():
    rng = np.random.default_rng(8)
    g = spins(30, 8)
    core = g._groups[0]
    leaves = g.variables("leaves", shape=(6000,), states=2)
    x = fg.Variables(g, "x", np.arange(core.count, dtype=np.int32).reshape(core.shape), 2)
    g.add(fg.Table(rng.normal(size=(6000, 2, 2))), x[0, 0], leaves)
    assert quickest(g, 1.0) < 3.0 and fg.solve(g, time_limit=0.0).bound > -INF


def test_what_all_best_labellings_have_is_kept():
    """Weak frustrated pairs: roof duality labels nearly all, and the rest falls apart."""
    rng = np.random.default_rng(9)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(40, 40), states=2)
    g.add(fg.Table(3 * rng.normal(size=(40, 40, 2))), x)
    for a, b in ((x[:-1], x[1:]), (x[:, :-1], x[:, 1:])):
        g.add(fg.Table(rng.normal(size=(*a.shape, 2, 2))), a, b)
    s = fg.solve(g)
    assert s.status == fg.Status.OPTIMAL
    assert s.energy == pytest.approx(fg.solve(g, method="exact", time_limit=60.0).energy)


def test_a_bound_without_a_labelling_is_bounded():
    s = fg.solve(cycle_of_alldifferent(11, 12), time_limit=0.0, method=fg.Auto(cells=1))
    assert s.energy == INF and s.status == fg.Status.BOUNDED and s.bound == pytest.approx(0.0)
    assert (s.labels["x"] == -1).all()


def test_a_large_elimination_is_spared_where_bounds_close():
    """7 variables of 12 states, all joined: 36 million cells, or some passes where the relaxation is tight."""
    rng = np.random.default_rng(0)
    for weight, method in ((0.01, "trw-s"), (1.0, "elimination")):
        g = fg.FactorGraph()
        x = g.variables("x", shape=(7,), states=12)
        g.add(fg.Table(rng.random((7, 12))), x)
        a, b = np.triu_indices(7, 1)
        g.add(fg.Table(weight * rng.normal(size=(a.size, 12, 12))), x[a], x[b])
        solution = fg.solve(g)
        assert solution.status == fg.Status.OPTIMAL and solution.components.method.tolist() == [method]
        assert solution.energy == pytest.approx(fg.solve(g, method="elimination").energy, rel=1e-7)
